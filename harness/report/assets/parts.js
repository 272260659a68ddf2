// What the explorer is made of: unpacking, elements without markup, numbers as harness/numbers.py writes them.
const parts = (function () {
  "use strict";
  const waiting = new Map();
  // A file beside the page calls this with its name and what it holds.
  window.harnessChunk = (name, text) => { if (waiting.has(name)) { waiting.get(name)(text); } };

  async function unpack(text) {
    const letters = atob(text), bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i++) { bytes[i] = letters.charCodeAt(i); }
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  function fetched(file) {
    return new Promise((resolve) => {
      const script = document.createElement("script");
      waiting.set(file.replace(/^.*\/|\.js$/g, ""), resolve);
      script.onerror = () => resolve(null);
      script.onload = () => resolve(null); // whatever it was, it did not call
      script.src = file.split("/").map(encodeURIComponent).join("/");
      document.head.append(script);
    });
  }

  const fill = (pattern, values) => pattern.replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));

  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    Object.entries(attributes || {}).forEach(([name, value]) => {
      if (value !== null && value !== undefined) { made.setAttribute(name, value); }
    });
    made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return made;
  }

  const bdi = (text) => el("bdi", null, text);

  // The same rules as harness/numbers.py.
  function writer(words) {
    // A number halfway between two goes to the even one, as in Python; 25 digits more tell where it lies.
    const rounded = (x, digits) => {
      const long = x.toFixed(digits + 25), cut = long.slice(0, -25).replace(/\.$/, "");
      return /^50*$/.test(long.slice(-25)) && "02468".includes(cut.slice(-1)) ? cut : x.toFixed(digits);
    };
    const fixed = (x, digits) => {
      const [whole, rest] = rounded(x, digits).split(".");
      return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (rest ? "." + rest : "");
    };
    const two = (x) => Math.min(1 - Number(x.toExponential(1).split("e")[1]), 12);
    const ms = (x) => fixed(x, x >= 9.95 || x === 0 ? 0 : x >= 0.995 ? 1 : Math.min(two(x), 6));
    const usd = (x) => fixed(x, x >= 9999.5 ? 0 : x >= 0.00995 || x === 0 ? 2 : two(x));
    const known = (x, write) => (x === null || x === undefined ? words.blank : write(x));
    return {
      count: (x) => known(x, () => fixed(x, 0)),
      percent: (x) => known(x, () => fill(words.percent, { n: fixed(x * 100, 0) })),
      ms: (x) => known(x, () => fill(words.ms, { n: ms(x * 1000) })),
      usd: (x) => known(x, () => fill(words.usd, { n: usd(x) })),
    };
  }

  // Unpacks chunks of rows when they are asked for; null where a file beside the page cannot be read.
  function reader(list, texts) {
    const kept = new Map();
    async function read(place) {
      const file = list[place][2], text = file ? await fetched(file) : texts[place];
      return text === null ? null : unpack(text);
    }
    return {
      parts: list.length,
      place: (row) => list.findIndex((entry) => row < entry[1]),
      first: (place) => list[place][0],
      last: (place) => list[place][1],
      part(place) {
        if (!kept.has(place)) { kept.set(place, read(place).catch(() => null)); }
        return kept.get(place);
      },
    };
  }

  return { unpack, reader, writer, fill, el, bdi };
})();
