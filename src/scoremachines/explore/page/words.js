// Sentences about numbers, the same ones for eyes and for ears.

const percent = (share) => {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return 'under 0.1 %';
  return `${value < 10 && value % 1 ? value.toFixed(1) : Math.round(value)} %`;
};
const plural = (count, word, words = `${word}s`) =>
  `${count.toLocaleString('en')} ${count === 1 ? word : words}`;
const at = (place, width) => `row ${Math.floor(place / width)}, column ${place % width}`;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// How many patches an entropy of so many nats amounts to.
function patchesOf(entropy) {
  const count = Math.exp(entropy);
  if (count < 1.05) return '1 patch';
  return `${count < 10 ? count.toFixed(1) : Math.round(count).toLocaleString('en')} patches`;
}

function noiseWords(alphaBar) {
  return `${percent(1 - alphaBar)} noise`;
}

// Which training images the pixels' best sources lie in, by number of pixels, and their classes.
function sharesOf(trace, step, pixels, labels) {
  const images = new Map(), classes = new Map();
  for (let place = 0; place < pixels; place += 1) {
    const image = trace.sources.image[step * trace.ranks * pixels + place];
    images.set(image, (images.get(image) || 0) + 1);
    const label = labels.get(image);
    if (label !== undefined) classes.set(label, (classes.get(label) || 0) + 1);
  }
  const sorted = (counts) => [...counts].sort((one, other) => other[1] - one[1]);
  return {images: sorted(images), classes: sorted(classes)};
}

function sourceSentence(sources, entropy, width, nameOf) {
  if (!sources.length) return 'No sources are known here.';
  const [best] = sources;
  const from = `${nameOf(best.image)}, ${at(best.position, width)}`;
  if (best.weight < 0.1) {
    return `Undecided between about ${patchesOf(entropy)}; the best, in ${from}, has ${percent(best.weight)}.`;
  }
  return `${percent(best.weight)} from ${from}.`;
}

function attendedSentence(trace, step, places, width) {
  if (!trace.attended) return trace.noisy ? 'Attends to no other pixel.' : '';
  const even = trace.attended.even[step];
  if (even !== null) return `Attends to all other pixels alike, each with weight ${weightWords(even)}.`;
  if (!places.length) return 'Attends to many places, to none much.';
  const shown = places.slice(0, 3).map(
    (each) => `${at(each.place, width)} (${weightWords(each.weight)})`);
  return `Attends most to ${shown.join('; ')}.`;
}

const weightWords = (weight) => weight >= 0.1 ? weight.toFixed(2) : weight.toPrecision(2);

function verdictOf(trace) {
  const verdict = trace.verdict && trace.verdict[0];
  if (!verdict) return null;
  const mark = {consistent: '✓', 'not consistent': '✗', 'not valid': '–'}[verdict.word];
  const found = verdict.found.map((value) => value === null ? 'something else' : value);
  const text = `${mark} ${verdict.word}`;
  const what = found.length ? `found: ${found.join(', ')}` : 'nothing found';
  return {word: verdict.word, text, what, copy: verdict.copy};
}
