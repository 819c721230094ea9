// Numbers for the page: from the server that it came from, or from the document itself.

const KINDS = {u1: Uint8Array, u2: Uint16Array, i2: Int16Array, i4: Int32Array};

async function unpack(packed) {
  const bytes = Uint8Array.from(atob(packed.data), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  const buffer = await new Response(stream).arrayBuffer();
  return new KINDS[packed.kind](buffer);
}

// A trace with its arrays unpacked. Arrays are flat, in the order [step, rank, row, column].
async function unpackTrace(trace) {
  const opened = {...trace, ranks: 0, places: 0};
  opened.clean = await unpack(trace.clean);
  opened.image = await unpack(trace.image);
  if (trace.noisy) opened.noisy = {values: await unpack(trace.noisy), span: trace.noisy.span};
  if (trace.sources) {
    opened.ranks = trace.sources.image.shape[1];
    opened.sources = {
      image: await unpack(trace.sources.image),
      position: await unpack(trace.sources.position),
      weight: await unpack(trace.sources.weight),
      scale: trace.sources.weight.scale,
    };
    opened.entropy = {values: await unpack(trace.entropy), scale: trace.entropy.scale};
  }
  if (trace.attended) {
    opened.places = trace.attended.place.shape[1];
    opened.attended = {
      place: await unpack(trace.attended.place),
      weight: await unpack(trace.attended.weight),
      scale: trace.attended.weight.scale,
      even: trace.attended.even,
    };
  }
  return opened;
}

const FIRST_WAIT = 80;
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function ask(path, content) {
  const options = content === undefined ? {} : {
    method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(content),
  };
  for (let attempt = 0; ; attempt += 1) {
    let response;
    try {
      response = await fetch(path, options);
    } catch {
      throw new Error('The server does not answer; it may have been stopped.');
    }
    if (response.status === 503 && attempt < 20) {
      await pause(200 + 800 * Math.random());
      continue;
    }
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.problem);
    return answer;
  }
}

class Store {
  constructor(embedded) {
    this.embedded = embedded;
    this.traces = new Map();
    this.images = new Map();  // pixels of training images, by number
    this.names = new Map();
    this.labels = new Map();
  }

  async overview() {
    if (!this.embedded) return ask('/api/overview');
    await this.keep(this.embedded.training);
    return this.embedded.overview;
  }

  async keep(training) {
    if (!training.index.length) return;
    const pixels = await unpack(training.images);
    const labels = training.labels && await unpack(training.labels);
    const [count] = training.images.shape, size = pixels.length / count;
    training.index.forEach((index, number) => {
      if (number < count) this.images.set(index, pixels.subarray(number * size, (number + 1) * size));
      this.names.set(index, training.names[number]);
      if (labels) this.labels.set(index, labels[number]);
    });
  }

  // Fetch training images that are not here yet, as far as they can be had.
  async training(indices) {
    if (this.embedded) return;
    const missing = [...new Set(indices)].filter((index) => index >= 0 && !this.names.has(index));
    for (let start = 0; start < missing.length; start += 128) {
      const some = missing.slice(start, start + 128);
      await this.keep(await ask(`/api/training?index=${some.join(',')}`));
    }
  }

  has(machine, sample) {
    return !this.embedded || `${machine}/${sample}` in this.embedded.traces;
  }

  // The trace of a sample; `progress(done, total, preview)` is called while it is computed.
  trace(machine, sample, progress) {
    const key = `${machine}/${sample}`;
    if (!this.traces.has(key)) {
      const found = this.fetched(machine, sample, key, progress).then(unpackTrace);
      found.catch(() => this.traces.delete(key));
      this.traces.set(key, found);
      if (this.traces.size > 40) this.traces.delete(this.traces.keys().next().value);
    }
    return this.traces.get(key);
  }

  async fetched(machine, sample, key, progress) {
    if (this.embedded) {
      if (!(key in this.embedded.traces)) throw new Error('This file does not hold that machine.');
      return this.embedded.traces[key];
    }
    const path = `/api/trace?machine=${encodeURIComponent(machine)}&sample=${sample}`;
    for (let wait = FIRST_WAIT; ; wait = Math.min(1000, 1.3 * wait)) {
      const answer = await ask(wait === FIRST_WAIT ? `${path}&preview=1` : path);
      if (answer.ready) return answer.trace;
      progress(answer.done, answer.total, answer.preview);
      await pause(wait);
    }
  }
}
