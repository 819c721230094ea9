// Colours of training images and classes; those of images are pictures.source_colours in Python.

const GOLDEN = (Math.sqrt(5) - 1) / 2;
const GREY = 128;

function sourceColour(index, shade = 0) {
  if (index < 0) return [GREY, GREY, GREY];
  const hue = 2 * Math.PI * ((index * GOLDEN) % 1);
  const lightness = 0.7 + 0.1 * ((index % 3) - 1) + shade;
  const a = 0.115 * Math.cos(hue), b = 0.115 * Math.sin(hue);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
  ].map(encoded);
}

function encoded(level) {
  const linear = Math.min(1, Math.max(0, level));
  const value = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
  return Math.round(255 * value);
}

// A class that is called like a colour has that colour, toned down.
const named = new Map();
function classColour(name, index, shade = 0) {
  if (!named.has(name)) {
    const pen = document.createElement('canvas').getContext('2d');
    const known = /^[a-z]+$/i.test(name) && CSS.supports('color', name);
    if (known) pen.fillStyle = name;
    named.set(name, known ? [1, 3, 5].map((at) => parseInt(pen.fillStyle.slice(at, at + 2), 16)) : null);
  }
  const own = named.get(name);
  if (!own) return sourceColour(index * 3 + 1, shade);
  return own.map((level) => Math.min(255, Math.max(0, 0.72 * level + 45 + 255 * shade)));
}

const css = (colour) => `rgb(${colour.map(Math.round).join(' ')})`;

// What a trace says of one pixel at one step: its sources, best first.
function sourcesAt(trace, step, place, pixels) {
  if (!trace.sources) return [];
  const found = [];
  for (let rank = 0; rank < trace.ranks; rank += 1) {
    const at = (step * trace.ranks + rank) * pixels + place;
    const image = trace.sources.image[at];
    if (image < 0) continue;
    const weight = trace.sources.weight[at] * trace.sources.scale;
    found.push({image, position: trace.sources.position[at], weight});
  }
  return found;
}

// The source map: colour of the best source's image, shade of the displacement, grey of doubt. Where
// images are coloured alike, by class, doubt is disagreement among the best sources.
function mosaicColour(trace, step, place, shape, colourOf, classOf) {
  const [, height, width] = shape;
  const sources = sourcesAt(trace, step, place, height * width);
  if (!sources.length) return [GREY, GREY, GREY];
  const [best] = sources;
  const down = mod(Math.floor(place / width) - Math.floor(best.position / width), height);
  const right = mod(place % width - best.position % width, width);
  const shade = mod(down * Math.SQRT2 + right * GOLDEN, 1) - 0.5;
  const same = (image) => classOf ? classOf(image) === classOf(best.image) : image === best.image;
  let share = 0, total = 0;
  for (const {image, weight} of sources) {
    total += weight;
    if (same(image)) share += weight;
  }
  if (classOf) share /= total || 1;
  const strength = Math.sqrt(Math.min(1, share));
  const colour = colourOf(best.image, 0.16 * shade * best.weight);
  return colour.map((level) => strength * level + (1 - strength) * GREY);
}

const mod = (value, base) => ((value % base) + base) % base;
