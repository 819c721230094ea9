// The page is filled in and wired up.

function fillSamples(app, bytes) {
  const {overview} = app, [channels, height, width] = app.shape;
  const box = get('samples');
  for (let number = 0; number < overview.samples.shape[0]; number += 1) {
    if (app.store.embedded && !app.store.has(overview.own, number)) continue;
    const verdict = overview.verdicts && overview.verdicts[number];
    const mark = verdict ? {consistent: '✓', 'not consistent': '✗', 'not valid': '–'}[verdict.word] : '';
    const label = overview.labels[number] === null ? '' : `, asked for ${app.className(overview.labels[number])}`;
    const canvas = make('canvas');
    const button = make('button', {type: 'button'}, canvas, make('span', {}, `${number} ${mark}`));
    button.dataset.sample = number;
    button.setAttribute('aria-label', `Sample ${number}${verdict ? `, ${verdict.word}` : ''}${label}`);
    button.setAttribute('aria-pressed', 'false');
    button.addEventListener('click', () => app.choose(number));
    box.append(button);
    paint(canvas, width, height, byteColour(bytes, app.shape, number * channels * height * width));
  }
}

function fillPanels(app) {
  const {overview, store} = app;
  const titles = new Map(overview.machines.map((each) => [each.name, each.title]));
  const left = new Panel(app, `${titles.get(overview.own)}`);
  left.title = titles.get(overview.own);
  app.panels.push(left);
  const others = overview.machines.filter((each) => !store.embedded || store.has(each.name, 0));
  if (app.state.beside && others.length > 1) {
    const select = make('select');
    select.setAttribute('aria-label', 'The machine on the right');
    for (const {name, title} of others) select.append(make('option', {value: name, selected: name === app.state.beside}, title));
    const right = new Panel(app, select);
    right.title = titles.get(app.state.beside);
    select.addEventListener('change', () => {
      app.state.beside = select.value;
      right.title = titles.get(select.value);
      app.load(right, select.value);
    });
    app.panels.push(right);
  }
  get('columns').append(...app.panels.map((panel) => panel.root));
  get('columns').classList.toggle('single', app.panels.length === 1);
}

function wire(app) {
  get('step').addEventListener('input', (event) => app.setStep(Number(event.target.value)));
  for (const name of ['row', 'column']) {
    get(name).max = app.shape[name === 'row' ? 1 : 2] - 1;
    get(name).addEventListener('input', (event) => {
      if (event.target.value !== '') app.setPixel({...app.state, [name]: Math.round(Number(event.target.value))}, true);
    });
  }
  get('colours').addEventListener('change', () => app.render());
  let playing = null;
  const stop = () => { clearInterval(playing); playing = null; get('play').textContent = 'Play'; };
  get('play').addEventListener('click', () => {
    if (playing) { stop(); return; }
    if (app.state.step === app.overview.steps) app.setStep(1);
    get('play').textContent = 'Stop';
    playing = setInterval(() => {
      app.setStep(app.state.step + 1);
      if (app.state.step >= app.overview.steps) stop();
    }, 350);
  });
  for (const name of ['step', 'columns', 'samples']) get(name).addEventListener('pointerdown', stop);
  let resizing = null;
  window.addEventListener('resize', () => { clearTimeout(resizing); resizing = setTimeout(() => app.render(), 150); });
}

async function fillAbout(app) {
  const {overview} = app;
  get('command').textContent = overview.command;
  get('settings').textContent = overview.settings;
  get('notices').append(...overview.notices.map((text) => make('li', {className: 'notice'}, text)));
  const {data} = overview;
  if (!data) return;
  if (data.labelled) {
    const few = data.classes.length > 0 && data.classes.length <= 12;
    get('colours').append(make('option', {value: 'class', selected: few}, 'one a class'));
  }
  await app.store.training(data.some);
  const row = make('div', {className: 'row'});
  get('training').append(make('p', {}, `Some of the ${data.count.toLocaleString('en')} training images (${data.name}):`), row);
  for (const index of data.some) {
    if (!app.store.images.has(index)) continue;
    const canvas = make('canvas');
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', app.nameOf(index));
    row.append(canvas);
    paint(canvas, app.shape[2], app.shape[1], byteColour(app.store.images.get(index), app.shape));
  }
}

function wireTheme() {
  const dark = window.matchMedia('(prefers-color-scheme: dark)').matches;
  const set = (on) => {
    document.documentElement.dataset.theme = on ? 'dark' : 'light';
    get('theme').setAttribute('aria-pressed', String(on));
  };
  set(dark);
  get('theme').addEventListener('click', () => set(document.documentElement.dataset.theme !== 'dark'));
}

// The sample to begin with: the first in which the judge, if there is one, finds what it knows.
function firstOf(app) {
  const verdicts = app.overview.verdicts || [];
  const known = verdicts.findIndex((verdict, number) =>
    verdict.word !== 'not valid' && app.store.has(app.overview.own, number));
  return Math.max(0, known);
}

async function begin() {
  wireTheme();
  const embedded = get('data') ? JSON.parse(get('data').textContent) : null;
  const store = new Store(embedded);
  try {
    const overview = await store.overview();
    const app = new App(store, overview);
    document.title = `${overview.title} – where every pixel came from`;
    fillSamples(app, await unpack(overview.samples));
    fillPanels(app);
    wire(app);
    await fillAbout(app);
    const [, height, width] = app.shape;
    Object.assign(app.state, {row: Math.floor(height / 2), column: Math.floor(width / 2)});
    if (overview.live) app.lab = new Lab(app);
    app.choose(firstOf(app));
    document.body.dataset.ready = 'true';
  } catch (error) {
    get('problem').replaceChildren(make('p', {className: 'notice'}, error.message || String(error)));
  }
}

begin();
