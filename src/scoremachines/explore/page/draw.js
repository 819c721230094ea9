// Pictures on canvases: every pixel of an image is a square with sharp edges; frames lie on top.

// Size a canvas for an image of these pixels, and return its pen and the side of a square.
function prepare(canvas, width, height, least = 1) {
  const shown = canvas.clientWidth || 160;
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const side = Math.max(least, Math.ceil(shown * ratio / width));
  if (canvas.width !== width * side || canvas.height !== height * side) {
    canvas.width = width * side;
    canvas.height = height * side;
  }
  const pen = canvas.getContext('2d');
  pen.imageSmoothingEnabled = false;
  return {pen, side};
}

// Paint an image whose pixel at `place` has the colour `colour(place)`, [r, g, b] or [r, g, b, a].
function paint(canvas, width, height, colour) {
  const {pen, side} = prepare(canvas, width, height);
  const small = document.createElement('canvas');
  small.width = width;
  small.height = height;
  const raw = new ImageData(width, height);
  for (let place = 0; place < width * height; place += 1) {
    const [red, green, blue, alpha = 255] = colour(place);
    raw.data.set([red, green, blue, alpha], 4 * place);
  }
  small.getContext('2d').putImageData(raw, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
  return {pen, side};
}

// The colour of a pixel of an image kept as bytes [channel, row, column].
function byteColour(bytes, shape, start = 0) {
  const [channels, height, width] = shape;
  const pixels = height * width;
  return (place) => {
    const level = (channel) => bytes[start + channel * pixels + place];
    if (channels === 3) return [level(0), level(1), level(2)];
    if (channels === 4) return [level(0), level(1), level(2), level(3)];
    return [level(0), level(0), level(0)];
  };
}

// A light line on a dark one, so that it is seen on any picture.
function outlined(pen, draw, width) {
  for (const [colour, extra] of [['#000', 2], ['#fff', 0]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = width + extra;
    draw();
  }
}

// The window of k pixels around a place, and the place itself; no k stands for the whole image.
function frame(pen, side, shape, row, column, k, periodic) {
  const [, height, width] = shape;
  const line = Math.max(1.5, side / 12);
  const box = (r, c, h, w) => outlined(
    pen, () => pen.strokeRect(c * side, r * side, w * side, h * side), line);
  if (!k) box(0, 0, height, width);
  const radius = k ? (k - 1) / 2 : 0;
  const turns = k && periodic ? [-1, 0, 1] : [0];
  for (const down of turns) {
    for (const right of turns) {
      const top = row - radius + down * height, left = column - radius + right * width;
      const seen = top < height && left < width && top + k > 0 && left + k > 0;
      if (k && seen) box(top, left, k, k);
    }
  }
  box(row, column, 1, 1);
}

// Dotted squares on attended places, the stronger the more.
function dotted(pen, side, width, places) {
  const most = Math.max(...places.map((each) => each.weight), 1e-12);
  for (const {place, weight} of places) {
    const row = Math.floor(place / width), column = place % width;
    pen.globalAlpha = 0.35 + 0.65 * weight / most;
    pen.setLineDash([Math.max(2, side / 5), Math.max(2, side / 7)]);
    outlined(pen, () => pen.strokeRect(column * side, row * side, side, side), Math.max(1.5, side / 10));
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }
}

// Row and column of the pixel under the pointer.
function pixelAt(canvas, event, shape) {
  const [, height, width] = shape;
  const box = canvas.getBoundingClientRect();
  const inside = (value, most) => Math.min(most - 1, Math.max(0, Math.floor(value)));
  return {
    row: inside((event.clientY - box.top) / box.height * height, height),
    column: inside((event.clientX - box.left) / box.width * width, width),
  };
}
