// Shows text as a terminal would: carriage returns, erased lines, the cursor moved up, and colours.
const MOST_LINES = 5000;
const SEQUENCE = /\x1b(?:\[([0-9;?]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])/y; // eslint-disable-line no-control-regex
const UNFINISHED = /\x1b(?:\[[0-9;?]*|\][^\x07]*)?$/; // eslint-disable-line no-control-regex

export class Terminal {
  #element;
  #decoder = new TextDecoder();
  #rest = '';
  #lines = [[]];
  #elements = [];
  #row = 0;
  #column = 0;
  #style = '';
  #dirty = new Set();
  #isScheduled = false;

  constructor(element) { this.#element = element; }

  note(text) {
    const line = document.createElement('div');
    line.className = 'hint';
    line.textContent = text;
    this.#element.append(line);
  }

  write(bytes) {
    let text = this.#rest + this.#decoder.decode(bytes, { stream: true });
    const cut = text.match(UNFINISHED);
    this.#rest = cut ? cut[0] : '';
    if (cut) text = text.slice(0, -cut[0].length);
    let index = 0;
    while (index < text.length) {
      const letter = text[index];
      if (letter === '\x1b') {
        SEQUENCE.lastIndex = index;
        const match = SEQUENCE.exec(text);
        if (match) { index += match[0].length; if (match[2]) this.#control(match[1], match[2]); continue; }
        index += 1;
        continue;
      }
      index += 1;
      if (letter === '\n') { this.#row += 1; this.#column = 0; this.#line(); }
      else if (letter === '\r') this.#column = 0;
      else if (letter === '\b') this.#column = Math.max(0, this.#column - 1);
      else if (letter === '\t') this.#put(' '.repeat(8 - (this.#column % 8)));
      else if (letter >= ' ') this.#put(letter);
    }
    this.#schedule();
  }

  #put(letters) {
    const line = this.#line();
    for (const letter of letters) {
      while (line.length < this.#column) line.push([' ', '']);
      line[this.#column] = [letter, this.#style];
      this.#column += 1;
    }
    this.#dirty.add(line);
  }

  #line() {
    while (this.#lines.length <= this.#row) { const line = []; this.#lines.push(line); this.#dirty.add(line); }
    while (this.#lines.length > MOST_LINES) { this.#lines.shift(); this.#elements.shift()?.remove(); this.#row -= 1; }
    return this.#lines[this.#row];
  }

  #control(parameters, command) {
    const numbers = parameters.split(';').map((part) => Number(part) || 0);
    const count = Math.min(numbers[0] || 1, MOST_LINES);
    const line = this.#line();
    if (command === 'm') this.#styled(numbers);
    else if (command === 'A' || command === 'F') { this.#row = Math.max(0, this.#row - count); if (command === 'F') this.#column = 0; }
    else if (command === 'B' || command === 'E') { this.#row += count; if (command === 'E') this.#column = 0; this.#line(); }
    else if (command === 'C') this.#column = Math.min(this.#column + count, 1000);
    else if (command === 'D') this.#column = Math.max(0, this.#column - count);
    else if (command === 'G') this.#column = Math.min(count - 1, 1000);
    else if (command === 'K') {
      if (numbers[0] === 2) line.length = 0;
      else if (numbers[0] === 1) for (let i = 0; i <= Math.min(this.#column, line.length - 1); i += 1) line[i] = [' ', ''];
      else line.length = Math.min(line.length, this.#column);
      this.#dirty.add(line);
    } else if (command === 'J' && numbers[0] === 2) this.#style = '';
  }

  #styled(numbers) {
    let classes = new Set(this.#style.split(' ').filter(Boolean));
    const colour = (name) => { classes = new Set([...classes].filter((known) => !/^t-\d$/.test(known))); if (name) classes.add(name); };
    for (let i = 0; i < numbers.length; i += 1) {
      const number = numbers[i];
      if (number === 0) classes = new Set();
      else if (number === 1) classes.add('t-b');
      else if (number === 2) classes.add('t-d');
      else if (number === 3) classes.add('t-i');
      else if (number === 4) classes.add('t-u');
      else if (number === 22) { classes.delete('t-b'); classes.delete('t-d'); }
      else if (number >= 30 && number <= 37) colour(`t-${number - 30}`);
      else if (number >= 90 && number <= 97) colour(`t-${number - 90}`);
      else if (number === 39) colour('');
      else if (number === 38 || number === 48) i += numbers[i + 1] === 5 ? 2 : 4;
    }
    this.#style = [...classes].join(' ');
  }

  #schedule() {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    requestAnimationFrame(() => { this.#isScheduled = false; this.#draw(); });
  }

  #draw() {
    const element = this.#element;
    const isAtEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 30;
    const last = this.#lines.length - (this.#lines.at(-1).length ? 0 : 1);
    for (let index = 0; index < last; index += 1) {
      const line = this.#lines[index];
      const known = this.#elements[index];
      if (known && !this.#dirty.has(line)) continue;
      const row = known ?? document.createElement('div');
      row.replaceChildren(...pieces(line));
      if (!known) { this.#elements[index] = row; element.append(row); }
    }
    this.#dirty.clear();
    if (isAtEnd) element.scrollTop = element.scrollHeight;
  }
}

function pieces(line) {
  const found = [];
  let begin = 0;
  while (begin < line.length) {
    const style = line[begin][1];
    let end = begin;
    let text = '';
    while (end < line.length && line[end][1] === style) { text += line[end][0]; end += 1; }
    begin = end;
    if (!style) { found.push(text); continue; }
    const span = document.createElement('span');
    span.className = style;
    span.textContent = text;
    found.push(span);
  }
  return found.length ? found : ['\u200b'];
}
