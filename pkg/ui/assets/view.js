// Elements, formats, and views: a filtered list, and a panel for one item. Texts of clients become text nodes only.

import {millis, since, store} from './data.js';

// clean replaces control and direction characters, by which a name could look like another one.
const clean = text => String(text ?? '').slice(0, 2000).replace(/[\0-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g, '\ufffd');

export function fill(element, ...children) {
	element.replaceChildren(...children.flat(4).filter(c => c != null && c !== false).map(c => c instanceof Node ? c : clean(c)));
	return element;
}

// h builds an element.CLASS. The second argument may have attributes and listeners.
export function h(tag, ...children) {
	const [name, style] = tag.split('.');
	const element = document.createElement(name);
	if (style) element.className = style;
	for (const [key, value] of children[0]?.constructor === Object ? Object.entries(children.shift()) : []) {
		if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
		else if (value != null) element.setAttribute(key, value);
	}
	return fill(element, children);
}

// once calls the function if the key has changed.
export function once(element, key, call) {
	if (element.key === key) return;
	element.key = key;
	call();
}

export function text(element, value) {
	value = clean(value);
	if (element.textContent !== value) element.textContent = value;
}

export const button = (label, onclick, attributes) => h('button', {type: 'button', onclick, ...attributes}, label);

const shapes = {
	ok: 'M2.5 8.5l3.5 3.5 7.5-8', bad: 'M3.5 3.5l9 9m0-9l-9 9', warn: 'M8 2.5l6 11H2zM8 6.5v3.5m0 1.5v.5',
	busy: 'M3 11l5-5 5 5', off: 'M2.5 8a5.5 5.5 0 1 0 11 0 5.5 5.5 0 1 0-11 0', skip: 'M3 8h10',
};

export const words = camel => camel.replace(/(?<=[a-z])[A-Z]/g, c => ` ${c.toLowerCase()}`);

export function state(kind, word) {
	const [svg, path] = ['svg', 'path'].map(name => document.createElementNS('http://www.w3.org/2000/svg', name));
	svg.setAttribute('viewBox', '0 0 16 16');
	svg.setAttribute('aria-hidden', true);
	path.setAttribute('d', shapes[kind]);
	svg.append(path);
	return h('span.state', {'data-kind': kind}, svg, words(word));
}

export function command(line) {
	const code = h('code', line);
	const copy = button('Copy', async () => {
		const done = await navigator.clipboard.writeText(code.textContent).then(() => 'Copied', () => 'Selected');
		if (done === 'Selected') getSelection().selectAllChildren(code);
		text(copy, done);
		setTimeout(text, 2000, copy, 'Copy');
	}, {'aria-label': `Copy: ${clean(line)}`});
	return h('div.command', code, copy);
}

export const empty = (words, line) => h('div.empty', h('p', words), line && command(line));
export const facts = pairs => h('dl.facts', pairs.filter(([, value]) => value).map(([name, value]) => h('div', h('dt', name), h('dd', value))));

// rows keeps elements by ID, so that focus and selection survive an update.
export function rows(parent, items, id, create, update) {
	const old = parent.kept ?? new Map();
	parent.kept = new Map();
	let at = parent.firstElementChild;
	for (const item of items) {
		const element = old.get(id(item)) ?? create(item);
		old.delete(id(item));
		parent.kept.set(id(item), element);
		update?.(element, item);
		if (element === at) at = at.nextElementSibling;
		else parent.insertBefore(element, at);
	}
	old.forEach(element => element.remove());
}

// Grid is a table. A column has a title, a function of the item, and a class. The function returns a text, or a key and a
// function that builds nodes.
class Grid {
	constructor(caption, columns, id) {
		Object.assign(this, {columns, id});
		this.body = h('tbody');
		this.element = h('div.scroll', {tabindex: 0, role: 'region', 'aria-label': caption},
			h('table', h('thead', h('tr', columns.map(([title, , style]) => h('th', {scope: 'col', class: style}, title)))), this.body));
	}

	set(items, style = () => '') {
		this.element.hidden = !items.length;
		rows(this.body, items, this.id, () => h('tr', this.columns.map(([title, , of]) => h('td', {class: of, 'data-title': title}))), (row, item) => {
			row.className = style(item);
			this.columns.forEach(([, of], i) => {
				const [value, cell] = [of(item), row.children[i]];
				if (Array.isArray(value)) once(cell, String(value[0]), () => fill(cell, value[1]()));
				else text(cell, value);
			});
		});
		return this.element;
	}
}

export const table = (title, items, columns, id, style) => items.length > 0 && [h('h3', title), new Grid(title, columns, id).set(items, style)];

export const number = n => Number(n ?? 0).toLocaleString('en');
export const plural = (n, one) => `${number(n)} ${one}${n === 1 ? '' : 's'}`;

// duration formats milliseconds, span seconds.
export function duration(ms) {
	if (ms < 1) return `${Math.round(ms * 1000)} µs`;
	if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
	return ms < 10000 ? `${(ms / 1000).toFixed(1)} s` : span(ms / 1000);
}

export function span(s) {
	for (const [unit, size] of [['d', 86400], ['h', 3600], ['min', 60]]) if (s >= 2 * size) return `${Math.floor(s / size)} ${unit}`;
	return `${Math.floor(s)} s`;
}

export const time = value => duration(millis(value));

export function bytes(n) {
	let unit = 0;
	for (; n >= 1000; n /= 1000) unit++;
	return `${n < 10 && unit ? n.toFixed(1) : Math.round(n)} ${['B', 'kB', 'MB', 'GB', 'TB'][unit]}`;
}

export class View {
	most = 200;
	choice = '';
	query = '';

	begin(page) {
		this.page = page;
		if (this.element) return;
		this.note = h('p.note', {role: 'status'});
		this.nothing = h('div');
		this.side = h('div.side');
		this.grid = new Grid(this.title, this.columns, item => this.id(item));
		this.buttons = Object.entries(this.choices ?? {}).map(([name, label]) =>
			button(label, () => { this.choice = this.choice === name ? '' : name; this.refresh(); }, {name}));
		this.more = button('', () => { this.most += 200; this.refresh(); });
		this.tools = h('div.tools', this.buttons.length ? h('div.choice', {role: 'group', 'aria-label': 'Show'}, this.buttons) : null,
			h('input', {type: 'search', placeholder: this.hint, 'aria-label': this.hint, oninput: event => { this.query = event.target.value.trim().toLowerCase(); this.refresh(); }}));
		this.split = h('div.split', h('div.list', this.tools, this.above?.(), this.grid.element, this.more, this.nothing), this.side);
		this.element = h('div', h('div.title', h('h1', {tabindex: -1}, this.title), this.note), this.head?.(), this.split);
	}

	end() { this.panel?.end?.(); }

	refresh() { this.version = -1; this.update(); }

	update() {
		const watch = store[this.kind];
		if (!watch.synced && this.version) return; // the old objects are shown until the new ones are complete
		if (this.version !== watch.version) {
			this.version = watch.version;
			this.all = this.items(watch);
			this.fit = this.all.filter(item => this.fits(item) && (!this.query || this.words(item).toLowerCase().includes(this.query)));
			this.selected?.();
		}
		this.tools.hidden = !this.all.length;
		for (const b of this.buttons) b.setAttribute('aria-pressed', b.name === this.choice);
		this.grid.set(this.fit.slice(0, this.most), item => this.id(item) === this.opened ? 'chosen' : this.style?.(item) ?? '');
		this.more.hidden = this.fit.length <= this.most;
		text(this.more, `Show more of ${number(this.fit.length)}`);
		text(this.note, this.summary());
		once(this.nothing, [!this.fit.length, !this.all.length, watch.synced, this.choice].join(), () => fill(this.nothing, !this.fit.length
			&& empty(...!watch.synced ? ['Waiting for the server'] : this.all.length ? ['Nothing fits.'] : this.nothingHere)));
		this.panel?.update?.();
	}

	open(id) {
		if (id === (this.opened ?? '')) return;
		const before = this.opened;
		this.panel?.end?.();
		this.opened = id;
		this.split.classList.toggle('open', Boolean(id));
		this.panel = id && this.detail ? this.detail(id) : null;
		fill(this.side, this.panel?.element);
		this.update();
		(this.panel?.heading ?? this.element.querySelector(`td a[href="${CSS.escape(this.link(before))}"]`) ?? this.element.querySelector('h1')).focus();
	}

	link(id) { return `#${this.page.name}/${id}`; }
	entry(id, words = id) { return [id, () => h('a', {href: this.link(id)}, words)]; }

	frame(title) {
		const close = () => this.page.go(this.page.name);
		const heading = h('h2', {tabindex: -1}, title);
		const body = h('div.body');
		const element = h('section.panel', {'aria-label': title, onkeydown: event => { if (event.key === 'Escape') close(); }},
			h('header', heading, button('Close', close)), body);
		return {element, heading, body};
	}

	follow(id, build, ...rest) {
		const frame = this.frame(id);
		const about = h('div');
		fill(frame.body, about, rest);
		return Object.assign(frame, {update: () => {
			const {items, synced} = store[this.kind];
			const object = items.get(id);
			once(about, `${object?.metadata.resourceVersion} ${synced} ${Math.floor(Date.now() / 5000)}`,
				() => fill(about, object ? build(object) : synced ? 'It does not exist.' : ''));
		}});
	}

	items(watch) { return watch.values(); }
	id(item) { return item.metadata.name; }
	fits() { return true; }
}

export const terminal = (...lines) => [h('h3', 'In a terminal'), lines.map(command)];
