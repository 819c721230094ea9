// One pixel through all steps: how its weight is shared out among training images.

function drawTimeline(canvas, trace, pixels, place, step, colourOf) {
  const steps = trace.steps;
  const ratio = Math.min(3, window.devicePixelRatio || 1);
  const width = canvas.width = Math.max(60, Math.round(canvas.clientWidth * ratio));
  const height = canvas.height = Math.round(56 * ratio);
  const pen = canvas.getContext('2d');
  pen.clearRect(0, 0, width, height);
  const wide = width / steps;
  for (let number = 0; number < steps; number += 1) {
    const left = Math.round(number * wide), right = Math.round((number + 1) * wide) - (steps < 60);
    pen.fillStyle = 'rgb(128 128 128 / 0.3)';
    pen.fillRect(left, 0, right - left, height);
    let low = height;
    const byImage = new Map();
    for (const {image, weight} of sourcesAt(trace, number, place, pixels)) {
      byImage.set(image, (byImage.get(image) || 0) + weight);
    }
    for (const [image, weight] of byImage) {
      const tall = Math.min(1, weight) * height;
      pen.fillStyle = css(colourOf(image));
      pen.fillRect(left, low - tall, right - left, tall);
      low -= tall;
    }
    if (number === step) {
      outlined(pen, () => pen.strokeRect(left + ratio, ratio, right - left - 2 * ratio, height - 2 * ratio), 2 * ratio);
    }
  }
}

// The same in words, for those who do not see it.
function timelineWords(trace, pixels, place, nameOf) {
  let said = '', last = null;
  for (let number = 0; number < trace.steps; number += 1) {
    const [best] = sourcesAt(trace, number, place, pixels);
    const image = !best || best.weight < 0.1 ? -1 : best.image;
    if (image === last) continue;
    last = image;
    said += `From step ${number + 1}: ${image < 0 ? 'undecided' : nameOf(image)}. `;
  }
  return said;
}
