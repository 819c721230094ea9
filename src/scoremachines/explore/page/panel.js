// One machine's answers: four pictures of a sample at a step, and all about one pixel of it.

class Panel {
  constructor(app, title) {
    this.app = app;
    this.trace = null;
    this.called = 'The finished sample';
    this.root = document.getElementById('panel-template').content.firstElementChild.cloneNode(true);
    this.find('.machine-name').append(title);
    for (const name of ['clean', 'map', 'noisy', 'entropy']) this.listen(this.find(`.${name}`));
    this.find('.timeline').addEventListener('click', (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      app.setStep(1 + Math.floor(share * this.trace.steps));
    });
    this.hide(true);
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  listen(canvas) {
    const app = this.app;
    canvas.addEventListener('pointermove', (event) => {
      if (event.pointerType === 'mouse' && !app.state.pinned) app.setPixel(pixelAt(canvas, event, app.shape));
    });
    canvas.addEventListener('click', (event) => {
      const pixel = pixelAt(canvas, event, app.shape);
      const {row, column, pinned} = app.state;
      const again = pinned && pixel.row === row && pixel.column === column;
      app.setPixel(pixel, !again);
    });
    canvas.addEventListener('keydown', (event) => app.key(event));
  }

  hide(hidden) {
    this.find('.shown').hidden = hidden;
  }

  wait(done, total) {
    const box = this.find('.progress');
    box.hidden = false;
    box.querySelector('progress').value = total ? done / total : 0;
    box.querySelector('span').textContent = total ? `step ${done} of ${total}` : 'waiting for its turn';
  }

  fail(text) {
    this.find('.progress').hidden = true;
    const trouble = this.find('.trouble');
    trouble.hidden = !text;
    trouble.textContent = text || '';
    if (text) this.hide(true);
  }

  show(trace) {
    this.trace = trace;
    this.fail('');
    this.hide(false);
    this.render();
  }

  get step() {
    return this.trace.steps === 1 ? 0 : Math.min(this.trace.steps, this.app.state.step) - 1;
  }

  render() {
    const {trace, app} = this;
    if (!trace) return;
    const [channels, height, width] = app.shape;
    const pixels = height * width, size = channels * pixels, {step} = this;
    const {row, column} = app.state;
    const k = trace.windows[step];
    const frames = ({pen, side}) => frame(pen, side, app.shape, row, column, k, app.periodic);
    const main = paint(this.find('.clean'), width, height, byteColour(trace.clean, app.shape, step * size));
    dotted(main.pen, main.side, width, this.attended());
    frames(main);
    this.find('.noisy-box').hidden = !trace.noisy;
    if (trace.noisy) {
      const {values, span} = trace.noisy;
      const colour = byteColour(values, app.shape, step * size);
      const shown = (level) => (level - 127.5) * span / 1.6 + 127.5;
      frames(paint(this.find('.noisy'), width, height, (place) => colour(place).slice(0, 3).map(shown)));
    }
    this.find('.read').hidden = !trace.read;
    const known = Boolean(trace.sources);
    for (const name of ['map', 'entropy']) this.find(`.${name}`).parentElement.hidden = !known;
    this.find('.course').hidden = !known || trace.steps === 1;
    if (known) {
      frames(paint(this.find('.map'), width, height,
        (place) => mosaicColour(trace, step, place, app.shape, app.colourOf, app.classes)));
      this.entropy(width, height, step, frames);
      if (trace.steps > 1) this.course(pixels);
      this.shares(step, pixels);
    }
    this.verdict();
    this.pixel();
  }

  entropy(width, height, step, frames) {
    const {values, scale} = this.trace.entropy;
    const pixels = width * height;
    let most = Math.log(10);  // so that a picture without doubt is dark
    for (const value of values) most = Math.max(most, value * scale);
    const level = (place) => values[step * pixels + place] * scale;
    frames(paint(this.find('.entropy'), width, height, (place) => {
      const share = most ? level(place) / most : 0;
      return [30 + 215 * share, 34 + 190 * share ** 1.3, 60 + 80 * share];
    }));
    const here = this.app.state.row * width + this.app.state.column;
    this.find('.many').textContent = patchesOf(level(here));
    this.find('.entropy').setAttribute('aria-label', `Undecided: brightest where ${patchesOf(most)} compete`);
  }

  attended() {
    const {trace, app, step} = this;
    if (!trace.attended || trace.attended.even[step] !== null) return [];
    const [, height, width] = app.shape;
    const {place, weight, scale} = trace.attended, found = [];
    for (let rank = 0; rank < trace.places; rank += 1) {
      const here = (step * trace.places + rank) * height * width + app.place;
      if (place[here] >= 0) found.push({place: place[here], weight: weight[here] * scale});
    }
    return found;
  }

  course(pixels) {
    const {trace, app} = this, canvas = this.find('.timeline');
    drawTimeline(canvas, trace, pixels, app.place, this.step, app.colourOf);
    canvas.setAttribute('aria-label', timelineWords(trace, pixels, app.place, app.nameOf));
  }

  verdict() {
    const verdict = verdictOf(this.trace), line = this.find('.verdict');
    line.hidden = !verdict;
    if (verdict) {
      const word = make('span', {className: `word ${verdict.word.replace(' ', '-')}`}, verdict.text);
      line.replaceChildren(`${this.called}: `, word, ` – ${verdict.what}`,
        verdict.copy ? '; a near-copy of a training image' : '');
    }
    this.nearest();
  }

  // The finished sample beside the training images that it looks most like.
  nearest() {
    const {nearest, differs, image} = this.trace, box = this.find('.nearest'), {app} = this;
    box.hidden = !nearest;
    if (!nearest) return;
    const row = make('div', {className: 'pair'});
    box.replaceChildren(make('p', {className: 'note'}, 'The finished sample and the training images nearest to it, with their distances.'
      + (differs ? ' Painted again, the sample came out differently from the one stored in the run.' : '')), row);
    const shown = [[image, 'finished', 'finished sample']];
    for (const {index, distance} of nearest) {
      const text = `${distance.toFixed(2)}: ${app.nameOf(index)}`;
      if (app.store.images.has(index)) shown.push([app.store.images.get(index), text, `nearest, ${text}`]);
    }
    for (const [bytes, text, label] of shown) {
      const canvas = make('canvas');
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', label);
      row.append(make('figure', {}, canvas, make('figcaption', {title: text}, text)));
      paint(canvas, app.shape[2], app.shape[1], byteColour(bytes, app.shape));
    }
  }

  shares(step, pixels) {
    const {app} = this, box = this.find('.shares');
    const {images, classes} = sharesOf(this.trace, step, pixels, app.store.labels);
    const [first, count] = images[0];
    const text = `The ${plural(pixels, 'pixel')} come from ${plural(images.length, 'training image')}; `
      + `most, ${percent(count / pixels)}, from ${app.nameOf(first)}.`;
    const parts = app.byClass && classes.length
      ? classes.map(([label, number]) => [app.className(label), number, app.classOf(label)])
      : images.slice(0, 12).map(([image, number]) => [app.nameOf(image), number, app.colourOf(image)]);
    const strip = make('div', {className: 'strip'});
    strip.setAttribute('role', 'img');
    strip.setAttribute('aria-label', parts.map(([name, number]) => `${name}: ${percent(number / pixels)}`).join(', '));
    for (const [name, number, colour] of parts) {
      const piece = make('span', {title: `${name}: ${percent(number / pixels)}`});
      piece.style.width = `${100 * number / pixels}%`;
      piece.style.background = css(colour);
      strip.append(piece);
    }
    const said = classes.length
      ? ` Of class ${classes.map(([label, number]) => `${app.className(label)} ${percent(number / pixels)}`).join(', ')}.` : '';
    box.replaceChildren(strip, make('p', {}, text + said));
    this.find('.map').setAttribute('aria-label', `Source map. ${text}${said}`);
  }

  sentence() {
    const {trace, app} = this, [, height, width] = app.shape;
    const sources = sourcesAt(trace, this.step, app.place, height * width);
    const entropy = trace.entropy
      ? trace.entropy.values[this.step * height * width + app.place] * trace.entropy.scale : 0;
    return sourceSentence(sources, entropy, width, app.nameOf);
  }

  pixel() {
    const {trace, app, step} = this, [, height, width] = app.shape;
    this.find('.pixel-title').textContent = `Pixel at ${at(app.place, width)}`;
    this.find('.sentence').textContent = this.sentence();
    this.find('.attends').textContent = attendedSentence(trace, step, this.attended(), width);
    const place = `Pixel at ${at(app.place, width)}.`;
    this.find('.clean').setAttribute('aria-label', `Image at this step. ${place} Arrow keys move it.`);
    this.find('.noisy').setAttribute('aria-label', 'The noisy image that the machine was given');
    const list = this.find('.patches');
    list.replaceChildren();
    const sources = sourcesAt(trace, step, app.place, height * width);
    for (const source of sources) list.append(this.patch(source, list, trace.windows[step]));
    app.want(sources.map((source) => source.image));
  }

  // A training image with the patch that a pixel was taken from framed in it.
  patch(source, list, k) {
    const {app} = this, [, height, width] = app.shape;
    const item = make('li');
    const known = app.store.images.get(source.image);
    const name = app.nameOf(source.image);
    const canvas = make('canvas');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `${name}, patch at ${at(source.position, width)} framed`);
    canvas.style.borderColor = css(app.colourOf(source.image));
    const meter = make('span', {className: 'meter'}, make('span'));
    meter.firstChild.style.width = `${Math.min(100, 100 * source.weight)}%`;
    item.append(canvas, make('div', {}, make('b', {}, percent(source.weight)), meter,
      make('span', {className: 'title', title: name}, name),
      make('span', {className: 'note'}, at(source.position, width))));
    list.append(item);
    if (known) {
      const drawn = paint(canvas, width, height, byteColour(known, app.shape));
      const row = Math.floor(source.position / width), column = source.position % width;
      frame(drawn.pen, drawn.side, app.shape, row, column, k, app.wraps);
    } else {
      canvas.replaceWith(make('span', {className: 'absent'}, 'not here'));
    }
    return item;
  }
}
