// Draw a noisy image, choose what the machine may see, and have it answered at once.

class Lab {
  constructor(app) {
    this.app = app;
    const {live, data} = app.overview;
    const [channels, height, width] = app.shape;
    this.values = new Float32Array(channels * height * width).fill(-1);
    this.cursor = {row: Math.floor(height / 2), column: Math.floor(width / 2)};
    this.seed = 0;
    this.panel = new Panel(app, 'The answer');
    this.panel.called = 'This image';
    get('lab').hidden = false;
    get('lab-answer').append(this.panel.root);
    const fill = (id, choices, chosen) => get(id).append(...choices.map((value) =>
      make('option', {value, selected: value === chosen}, value)));
    const windows = live.windows.includes(live.window) ? live.windows : [live.window, ...live.windows];
    fill('lab-window', windows, live.window);
    fill('lab-sources', live.sources, live.source);
    fill('lab-attention', live.attentions, live.attention);
    if (data.labelled) {
      get('lab-label-box').hidden = false;
      const names = data.classes.length ? data.classes : [];
      get('lab-label').append(make('option', {value: ''}, 'any'),
        ...names.map((name, index) => make('option', {value: String(index)}, name)));
    }
    const some = live.images < data.count ? `, on ${live.images} of the ${data.count} training images` : '';
    get('lab-text').textContent += some ? ` It answers${some}.` : '';
    if (channels < 3) get('lab-colour').value = '#ffffff';
    this.palette();
    this.wire();
  }

  // Another sample was chosen: begin with it, unless something has been drawn already.
  follow() {
    if (!this.touched) this.start();
  }

  wire() {
    const canvas = get('lab-canvas');
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.stroke(pixelAt(canvas, event, this.app.shape));
    });
    canvas.addEventListener('pointermove', (event) => {
      if (event.buttons) this.stroke(pixelAt(canvas, event, this.app.shape));
    });
    canvas.addEventListener('keydown', (event) => this.key(event));
    get('lab-start').addEventListener('change', () => this.start());
    get('lab-again').addEventListener('click', () => { this.seed += 1; this.ask(); });
    get('lab-noise').addEventListener('input', () => this.ask());
    for (const name of ['window', 'sources', 'attention', 'label']) {
      get(`lab-${name}`).addEventListener('change', () => this.ask());
    }
  }

  // Colours that the samples have most, to paint with.
  palette() {
    const [channels] = this.app.shape;
    const colours = channels >= 3
      ? ['#000000', '#ffffff', '#ff0000', '#00ff00', '#0000ff', '#ffff00'] : ['#000000', '#808080', '#ffffff'];
    get('lab-palette').append(...colours.map((colour) => {
      const button = make('button', {type: 'button', className: 'dab'});
      button.style.background = colour;
      button.setAttribute('aria-label', `colour ${colour}`);
      button.addEventListener('click', () => { get('lab-colour').value = colour; });
      return button;
    }));
  }

  get noisy() {
    return get('lab-start').value === 'noisy';
  }

  async start() {
    this.touched = get('lab-start').value !== 'sample';
    const {app} = this, {trace, step} = app.panels[0];
    const kind = get('lab-start').value, size = this.values.length;
    if (kind === 'blank') this.values.fill(-1);
    if (kind === 'sample' && trace) this.values = Float32Array.from(trace.image, (level) => level / 127.5 - 1);
    if (kind === 'noisy' && trace && trace.noisy) {
      const {values, span} = trace.noisy;
      this.values = Float32Array.from(values.subarray(step * size, (step + 1) * size), (level) => (level / 127.5 - 1) * span);
      const share = 100 * (1 - trace.alpha_bar[step]);
      get('lab-noise').value = Math.min(99, Math.max(1, Math.round(share)));
    }
    if (kind === 'training') {
      const some = app.overview.data.some;
      const index = some[(this.next = ((this.next ?? -1) + 1) % some.length)];
      await app.store.training([index]);
      this.values = Float32Array.from(app.store.images.get(index), (level) => level / 127.5 - 1);
    }
    this.ask();
  }

  key(event) {
    const moves = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
    const [, height, width] = this.app.shape;
    if (event.key in moves) {
      const [down, right] = moves[event.key];
      this.cursor = {row: mod(this.cursor.row + down, height), column: mod(this.cursor.column + right, width)};
      this.draw();
    } else if (event.key === ' ' || event.key === 'Enter') {
      this.stroke(this.cursor);
    } else {
      return;
    }
    event.preventDefault();
  }

  stroke({row, column}) {
    this.touched = true;
    const [channels, height, width] = this.app.shape, pixels = height * width;
    const brush = Number(get('lab-brush').value), start = Math.floor((brush - 1) / 2);
    const colour = get('lab-colour').value;
    const levels = [1, 3, 5].map((from) => parseInt(colour.slice(from, from + 2), 16) / 127.5 - 1);
    const grey = (levels[0] + levels[1] + levels[2]) / 3;
    this.cursor = {row, column};
    for (let down = 0; down < brush; down += 1) {
      for (let right = 0; right < brush; right += 1) {
        const r = row - start + down, c = column - start + right;
        if (r < 0 || c < 0 || r >= height || c >= width) continue;
        for (let channel = 0; channel < channels; channel += 1) {
          const level = channels < 3 ? grey : channel < 3 ? levels[channel] : 1;
          this.values[channel * pixels + r * width + c] = level;
        }
      }
    }
    this.ask();
  }

  draw() {
    const {app} = this, [, height, width] = app.shape;
    const bytes = Uint8ClampedArray.from(this.values, (value) => (value + 1) * 127.5);
    const {pen, side} = paint(get('lab-canvas'), width, height, byteColour(bytes, app.shape));
    outlined(pen, () => pen.strokeRect(this.cursor.column * side, this.cursor.row * side, side, side), 2);
    get('lab-noise-text').textContent = `${get('lab-noise').value} %`;
    get('lab-note').textContent = this.noisy
      ? 'This is the noisy image itself: no more noise is added.'
      : 'Noise is added to what you draw before the machine sees it.';
  }

  ask() {
    this.draw();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), 150);
  }

  // One question at a time; the last one asked meanwhile follows.
  async send() {
    if (this.sending) { this.again = true; return; }
    this.sending = true;
    const label = get('lab-label').value;
    const question = {
      image: Array.from(this.values, (value) => Math.round(1e4 * value) / 1e4),
      alpha_bar: 1 - Number(get('lab-noise').value) / 100,
      noise: this.noisy ? null : this.seed,
      window: get('lab-window').value,
      sources: get('lab-sources').value,
      attention: get('lab-attention').value,
      label: label === '' ? null : Number(label),
    };
    get('lab-state').textContent = 'Asking…';
    try {
      const begun = performance.now();
      const trace = await unpackTrace(await ask('/api/recompute', question));
      await this.app.known(trace);
      this.panel.show(trace);
      get('lab-state').textContent = `Answered in ${((performance.now() - begun) / 1000).toFixed(2)} s.`;
    } catch (error) {
      this.panel.fail(error.message);
      get('lab-state').textContent = 'No answer.';
    }
    this.sending = false;
    if (this.again) { this.again = false; this.send(); }
  }
}
