// Copyright The Gatehouse Authors. SPDX-License-Identifier: Apache-2.0
// Many objects as tiles on one canvas: one element for ten thousand.

import {h, text} from './dom.js';

const GAP = 2;
const HEIGHT = 300; // above which tiles get smaller
const SIZES = [18, 14, 11, 9, 7, 5];

export class Tiles {
	items = [];
	cursor = 0;
	canvas = h('canvas');
	label = h('p.note', {'aria-live': 'polite'});

	constructor(open, wordOf) {
		Object.assign(this, {open, wordOf});
		this.area = h('div.tiles', {tabindex: 0, role: 'application', 'aria-label': 'Hosts as tiles: the arrow keys move, Enter opens',
			onkeydown: event => this.key(event), onfocus: () => this.point(this.cursor), onblur: () => this.point(-1)}, this.canvas);
		this.element = h('div', {}, this.area, this.label);
		this.canvas.addEventListener('pointermove', event => this.point(this.at(event)));
		this.canvas.addEventListener('pointerleave', () => this.point(-1));
		this.canvas.addEventListener('click', event => { const item = this.items[this.at(event)]; if (item) this.open(item.name); });
		new ResizeObserver(() => this.plan()).observe(this.area);
		matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.plan());
	}

	set(items) {
		this.items = items;
		this.plan();
	}

	choose(name) {
		this.chosen = name;
		this.plan();
	}

	plan() {
		cancelAnimationFrame(this.frame);
		this.frame = requestAnimationFrame(() => this.draw());
	}

	draw() {
		const {items, canvas} = this;
		const width = this.area.clientWidth - 20;
		if (width <= 0) return;
		let height;
		for (this.pitch of SIZES.map(size => size + GAP)) {
			this.columns = Math.max(1, Math.floor((width + GAP) / this.pitch));
			height = Math.max(1, Math.ceil(items.length / this.columns) * this.pitch);
			if (height <= HEIGHT) break;
		}
		const ratio = Math.min(2, devicePixelRatio);
		[canvas.width, canvas.height] = [width * ratio, height * ratio];
		[canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
		const pen = canvas.getContext('2d');
		const style = getComputedStyle(canvas);
		const [ok, bad, faint, ink] = ['ok', 'bad', 'faint', 'ink'].map(name => style.getPropertyValue(`--${name}`));
		const colours = {Ready: ok, Cordoned: ok, NotReady: bad, Unknown: faint};
		pen.scale(ratio, ratio);
		items.forEach(({name, word}, i) => {
			const [x, y] = [i % this.columns * this.pitch, Math.floor(i / this.columns) * this.pitch];
			pen.fillStyle = pen.strokeStyle = colours[word];
			this.tile(pen, word, x, y, this.pitch - GAP);
			if (i !== this.pointed && name !== this.chosen) return;
			pen.strokeStyle = ink;
			pen.lineWidth = 2;
			pen.strokeRect(x, y, this.pitch - GAP, this.pitch - GAP);
		});
	}

	// tile draws a shape for each state: full, cross, half, hollow.
	tile(pen, word, x, y, size) {
		pen.lineWidth = Math.max(1, size / 6);
		if (word === 'Ready') pen.fillRect(x, y, size, size);
		else if (word === 'NotReady') {
			pen.beginPath();
			for (const [a, b] of [[0, size], [size, 0]]) { pen.moveTo(x + a, y); pen.lineTo(x + b, y + size); }
			pen.stroke();
		} else {
			pen.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
			if (word === 'Cordoned') pen.fillRect(x, y + size / 2, size, size / 2);
		}
	}

	at({offsetX, offsetY}) {
		const column = Math.floor(offsetX / this.pitch);
		return column < this.columns ? Math.floor(offsetY / this.pitch) * this.columns + column : -1;
	}

	point(i) {
		this.pointed = i;
		const item = this.items[i];
		text(this.label, item ? `${item.name}: ${this.wordOf(item.word)}` : '');
		this.plan();
	}

	key(event) {
		const moves = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns, Home: -1e9, End: 1e9};
		if (moves[event.key]) this.point(this.cursor = Math.max(0, Math.min(this.items.length - 1, this.cursor + moves[event.key])));
		else if (event.key === 'Enter' && this.items[this.cursor]) this.open(this.items[this.cursor].name);
		else return;
		event.preventDefault();
	}
}
