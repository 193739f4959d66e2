// <xf-table src="/tables/RESOURCE">: a CSV file as a table, and as a plot of one column over another.
import strings from './strings.js';
import { request } from './page.js';

const SHOWN = 200;
const BASE = new URL('.', import.meta.url);

class Table extends HTMLElement {
  #data = null;
  #shown = SHOWN;

  async connectedCallback() {
    if (this.#data) return;
    const answer = await request(this.getAttribute('src'));
    if (!answer) return;
    this.#data = await answer.json();
    this.#build();
  }

  #build() {
    const { columns, rows, numeric, total } = this.#data;
    const tools = document.createElement('div');
    tools.className = 'sheet-tools';
    const said = document.createElement('span');
    said.className = 'hint';
    said.textContent = strings.table_size.replace('{rows}', total).replace('{columns}', columns.length);
    tools.append(said);
    const numbers = columns.map((name, index) => [name, index]).filter(([, index]) => numeric[index]);
    if (numbers.length && rows.length > 1) {
      const x = choice(strings.plot_x, [[strings.plot_row, -1], ...numbers], numbers.length > 1 ? numbers[0][1] : -1);
      const y = choice(strings.plot_y, numbers, numbers[Math.min(1, numbers.length - 1)][1]);
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = strings.plot;
      button.addEventListener('click', () => this.#plot(Number(x.select.value), Number(y.select.value)));
      tools.append(x.label, y.label, button);
    }
    const sheet = document.createElement('div');
    sheet.className = 'sheet';
    sheet.tabIndex = 0;
    sheet.setAttribute('role', 'region');
    sheet.setAttribute('aria-label', this.getAttribute('label'));
    const table = document.createElement('table');
    const head = table.createTHead().insertRow();
    for (const name of columns) {
      const cell = document.createElement('th');
      cell.scope = 'col';
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    this.#fill(body, 0);
    sheet.append(table);
    sheet.addEventListener('scroll', () => {
      if (this.#shown < rows.length && sheet.scrollTop + sheet.clientHeight > sheet.scrollHeight - 200) {
        this.#fill(body, this.#shown);
        this.#shown += SHOWN;
      }
    });
    this.replaceChildren(tools, sheet);
    if (rows.length < total) {
      const note = document.createElement('p');
      note.className = 'hint';
      note.textContent = strings.table_cut.replace('{rows}', rows.length);
      this.append(note);
    }
  }

  #fill(body, from) {
    for (const values of this.#data.rows.slice(from, from + SHOWN)) {
      const row = body.insertRow();
      values.forEach((value, index) => {
        const cell = row.insertCell();
        cell.textContent = value;
        if (this.#data.numeric[index]) cell.className = 'number';
      });
    }
  }

  async #plot(x, y) {
    await plots();
    const { columns, rows } = this.#data;
    const points = rows.map((row, index) => [x === -1 ? index + 1 : Number(row[x]), Number(row[y])])
      .filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b)).sort((a, b) => a[0] - b[0]);
    this.querySelector('.plot')?.remove();
    const holder = document.createElement('div');
    holder.className = 'plot';
    holder.setAttribute('role', 'img');
    holder.setAttribute('aria-label', `${columns[y]} / ${x === -1 ? strings.plot_row : columns[x]}`);
    this.append(holder);
    const style = getComputedStyle(this);
    const axis = { stroke: style.getPropertyValue('--text'), grid: { stroke: style.getPropertyValue('--line') } };
    new window.uPlot({
      width: Math.min(this.clientWidth, 900), height: 320, legend: { live: true },
      scales: { x: { time: false } },
      axes: [{ ...axis, label: x === -1 ? strings.plot_row : columns[x] }, { ...axis, label: columns[y] }],
      series: [{ label: x === -1 ? strings.plot_row : columns[x] }, { label: columns[y], stroke: style.getPropertyValue('--accent'), points: { show: points.length < 500 } }],
    }, [points.map(([a]) => a), points.map(([, b]) => b)], holder);
  }
}

function choice(text, options, chosen) {
  const label = document.createElement('label');
  label.className = 'hint';
  const select = document.createElement('select');
  for (const [name, value] of options) select.add(new Option(name, value, false, value === chosen));
  label.append(`${text} `, select);
  return { label, select };
}

let loading = null;
/** Load uPlot when the first plot is asked for. */
export function plots() {
  loading ??= new Promise((resolve, reject) => {
    const style = document.createElement('link');
    style.rel = 'stylesheet';
    style.href = new URL('vendor/uplot.min.css', BASE);
    const script = document.createElement('script');
    script.src = new URL('vendor/uplot.min.js', BASE);
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(style, script);
  });
  return loading;
}

customElements.define('xf-table', Table);
