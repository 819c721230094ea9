// What is chosen, and everything on the page that follows from it.

const get = (id) => document.getElementById(id);

class App {
  constructor(store, overview) {
    this.store = store;
    this.overview = overview;
    this.shape = overview.shape;
    this.periodic = overview.periodic;
    this.wraps = overview.live ? overview.live.source === 'circular' : false;
    this.state = {sample: 0, step: overview.steps, row: 0, column: 0, pinned: false, beside: overview.beside};
    this.panels = [];
    this.nameOf = this.nameOf.bind(this);
    this.colourOf = this.colourOf.bind(this);
    this.wanted = new Set();
  }

  get place() {
    return this.state.row * this.shape[2] + this.state.column;
  }

  get byClass() {
    return get('colours').value === 'class';
  }

  // The class of an image, where maps are coloured by class.
  get classes() {
    return this.byClass ? (image) => this.store.labels.get(image) : null;
  }

  nameOf(image) {
    const label = this.store.labels.get(image);
    const name = this.store.names.get(image) || `image ${image}`;
    if (label === undefined) return name;
    const kind = this.className(label);
    return `${name} (${/^\d+$/.test(kind) ? `class ${kind}` : kind})`;
  }

  className(label) {
    const classes = this.overview.data ? this.overview.data.classes : [];
    return classes[label] || `class ${label}`;
  }

  classOf(label, shade = 0) {
    return classColour(this.className(label), label, shade);
  }

  colourOf(image, shade = 0) {
    const label = this.store.labels.get(image);
    return this.byClass && label !== undefined ? this.classOf(label, shade) : sourceColour(image, shade);
  }

  // Training images that a picture lacks: fetched, then everything is drawn again.
  want(images) {
    const missing = images.filter((image) => !this.store.names.has(image) && !this.wanted.has(image));
    if (!missing.length || this.store.embedded || !this.overview.data) return;
    missing.forEach((image) => this.wanted.add(image));
    this.store.training(missing).then(() => this.render(), (error) => this.trouble(error));
  }

  trouble(error) {
    get('problem').replaceChildren(make('p', {className: 'notice'}, error.message || String(error)));
  }

  setPixel({row, column}, pinned = this.state.pinned) {
    const [, height, width] = this.shape;
    row = Math.min(height - 1, Math.max(0, row));
    column = Math.min(width - 1, Math.max(0, column));
    const {state} = this;
    if (row === state.row && column === state.column && pinned === state.pinned) return;
    Object.assign(state, {row, column, pinned});
    this.render();
  }

  setStep(step) {
    this.state.step = Math.min(this.overview.steps, Math.max(1, step));
    this.render();
  }

  key(event) {
    const moves = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};
    const {row, column} = this.state;
    if (event.key in moves) {
      const [down, right] = moves[event.key];
      this.setPixel({row: row + down, column: column + right}, true);
    } else if (event.key === 'PageUp' || event.key === 'PageDown') {
      this.setStep(this.state.step + (event.key === 'PageUp' ? 1 : -1));
    } else if (event.key === 'Escape') {
      this.state.pinned = false;
    } else {
      return;
    }
    event.preventDefault();
  }

  choose(sample) {
    this.state.sample = sample;
    get('sample-number').textContent = sample;
    for (const button of get('samples').children) {
      button.setAttribute('aria-pressed', String(Number(button.dataset.sample) === sample));
    }
    this.load(this.panels[0], this.overview.own);
    if (this.panels[1]) this.load(this.panels[1], this.state.beside);
  }

  async load(panel, name) {
    const {sample} = this.state;
    const current = () => panel.asked === `${name}/${sample}`;
    panel.asked = `${name}/${sample}`;
    panel.done = null;
    panel.hide(true);
    panel.root.setAttribute('aria-busy', 'true');
    const slow = setTimeout(() => current() && panel.wait(0, 0), 150);
    try {
      const trace = await this.store.trace(name, sample, (done, total, preview) => {
        if (!current()) return;
        panel.wait(done, total);
        if (preview) this.preview(panel, preview, current);
      });
      if (!current()) return;
      await this.known(trace);
      if (!current()) return;
      panel.done = panel.asked;
      panel.show(trace);
      this.render();
      this.pick();
      if (this.lab && panel === this.panels[0]) this.lab.follow();
    } catch (error) {
      if (current()) panel.fail(error.message);
    } finally {
      clearTimeout(slow);
      if (current()) panel.root.setAttribute('aria-busy', 'false');
    }
  }

  // What the run itself holds, the end, is shown while the way there is followed.
  async preview(panel, packed, current) {
    const trace = await unpackTrace(packed);
    await this.known(trace);
    if (!current() || panel.done === panel.asked) return;
    panel.trace = trace;
    panel.hide(false);
    this.render();
  }

  // The images that a trace's best sources lie in at the end, whose names and classes are shown.
  async known(trace) {
    if (!trace.sources || !this.overview.data) return;
    const pixels = this.shape[1] * this.shape[2];
    const start = (trace.steps - 1) * trace.ranks * pixels;
    const wanted = new Set(trace.sources.image.subarray(start, start + pixels));
    for (const {index} of trace.nearest || []) wanted.add(index);
    // Classes colour whole maps, so small sets are fetched whole.
    if (this.overview.data.count <= 512) for (let i = 0; i < this.overview.data.count; i += 1) wanted.add(i);
    await this.store.training([...wanted]);
  }

  render() {
    const {state, overview} = this;
    const ready = this.panels.filter((panel) => panel.trace && !panel.find('.shown').hidden);
    for (const panel of ready) panel.render();
    if (this.lab) this.lab.panel.render();
    const trace = ready.map((panel) => panel.trace).find((each) => each.steps > 1);
    const slider = get('step');
    slider.max = overview.steps;
    slider.value = state.step;
    slider.disabled = !trace;
    get('play').disabled = slider.disabled;
    get('row').value = state.row;
    get('column').value = state.column;
    const text = trace
      ? `${state.step} of ${trace.steps} · ${noiseWords(trace.alpha_bar[Math.min(trace.steps, state.step) - 1])}` : 'the end';
    get('step-text').textContent = text;
    slider.setAttribute('aria-valuetext', text);
    clearTimeout(this.saying);
    this.saying = setTimeout(() => this.say(ready), 120);
  }

  say(ready) {
    if (!ready.length) return;
    const where = `Pixel at ${at(this.place, this.shape[2])}`;
    const said = ready.map((panel) =>
      (ready.length > 1 ? `${panel === this.panels[0] ? 'Left' : 'Right'}: ` : '') + panel.sentence());
    get('reading').textContent = `${where}${this.state.pinned ? ' (held)' : ''}. ${said.join(' ')}`;
    this.contrast(ready);
  }

  // At first, the pixel that differs most between left and right.
  pick() {
    const [one, other] = this.panels.map((panel) => panel.trace);
    if (this.picked || !one || !other || one.steps !== other.steps) return;
    this.picked = true;
    const [channels, height, width] = this.shape, pixels = height * width;
    let most = 0, best = this.place;
    for (let place = 0; place < pixels; place += 1) {
      let apart = 0;
      for (let channel = 0; channel < channels; channel += 1) {
        apart += Math.abs(one.image[channel * pixels + place] - other.image[channel * pixels + place]);
      }
      // Of equals, one towards the middle.
      const row = Math.floor(place / width), column = place % width;
      apart -= 0.1 * (Math.abs(row - height / 2) + Math.abs(column - width / 2));
      if (apart > most) { most = apart; best = place; }
    }
    if (!this.state.pinned) this.setPixel({row: Math.floor(best / width), column: best % width});
  }

  // The point of it all, in one sentence about this sample.
  contrast(ready) {
    const pixels = this.shape[1] * this.shape[2];
    const traced = ready.filter((panel) => panel.trace.sources);
    const line = get('contrast');
    line.hidden = !traced.length;
    line.replaceChildren(traced.length ? 'Put together from ' : '');
    traced.forEach((panel, number) => {
      const {images, classes} = sharesOf(panel.trace, panel.trace.steps - 1, pixels, this.store.labels);
      const kinds = classes.length ? ` of ${plural(classes.length, 'class', 'classes')}` : '';
      const side = traced.length > 1 ? ` on the ${panel === this.panels[0] ? 'left' : 'right'}` : '';
      line.append(number ? ', from ' : '', make('strong', {}, `${plural(images.length, 'training image')}${kinds}`),
        `${side} (${panel.title}${panel.trace.read ? ', as the machine reads it' : ''})`);
    });
    line.append(traced.length ? '.' : '');
  }
}
