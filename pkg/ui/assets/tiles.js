import {h, text} from './dom.js';

const GAP = 2;
const HEIGHT = 300; // above which tiles get smaller
const SIZES = [18, 14, 11, 9, 7, 5];

export class Tiles {
	items = [];
	cursor = 0;
	canvas = h('canvas');
	label = h('p.note', {'aria-live': 'polite'});

	constructor(open) {
		this.area = h('div.tiles', {tabindex: 0, role: 'application', 'aria-label': 'Hosts as tiles: the arrow keys move, Enter opens',
			onkeydown: event => this.key(event), onfocus: () => this.point(this.cursor), onblur: () => this.point(-1)}, this.canvas);
		this.element = h('div', this.area, this.label);
		this.open = () => this.items[this.pointed] && open(this.items[this.pointed].name);
		this.canvas.onpointermove = event => this.point(this.at(event));
		this.canvas.onpointerleave = () => this.point(-1);
		this.canvas.onclick = event => { this.point(this.at(event)); this.open(); };
	}

	draw() {
		const {items, canvas} = this;
		const width = this.area.clientWidth - 20;
		let height;
		for (this.pitch of SIZES.map(size => size + GAP)) {
			this.columns = Math.max(1, Math.floor((width + GAP) / this.pitch));
			height = Math.ceil(items.length / this.columns) * this.pitch;
			if (height <= HEIGHT) break;
		}
		const ratio = Math.min(2, devicePixelRatio);
		[canvas.width, canvas.height] = [width * ratio, height * ratio];
		[canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
		const pen = canvas.getContext('2d');
		const style = getComputedStyle(canvas);
		const [ok, bad, faint, ink] = ['ok', 'bad', 'faint', 'ink'].map(name => style.getPropertyValue(`--${name}`));
		const colours = {Ready: ok, Cordoned: ok, NotReady: bad, Unknown: faint};
		const size = this.pitch - GAP;
		pen.scale(ratio, ratio);
		items.forEach(({name, word}, i) => {
			const [x, y] = [i % this.columns * this.pitch, Math.floor(i / this.columns) * this.pitch];
			pen.fillStyle = pen.strokeStyle = colours[word];
			pen.lineWidth = Math.max(1.5, size / 6);
			this.tile(pen, word, x, y, size);
			if (i !== this.pointed && name !== this.chosen) return;
			pen.strokeStyle = ink;
			pen.lineWidth = 2;
			pen.strokeRect(x, y, size, size);
		});
	}

	tile(pen, word, x, y, size) {
		if (word === 'NotReady') {
			pen.beginPath();
			for (const [a, b] of [[0, size], [size, 0]]) { pen.moveTo(x + a, y); pen.lineTo(x + b, y + size); }
			pen.stroke();
			return;
		}
		pen.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
		const full = {Ready: size, Cordoned: size / 2}[word] ?? 0;
		pen.fillRect(x, y + size - full, size, full);
	}

	at({offsetX, offsetY}) {
		const column = Math.floor(offsetX / this.pitch);
		return column < this.columns ? Math.floor(offsetY / this.pitch) * this.columns + column : -1;
	}

	point(i) {
		if (this.pointed === i) return;
		const item = this.items[this.pointed = i];
		text(this.label, item ? `${item.name}: ${item.word}` : '');
		this.draw();
	}

	key(event) {
		const move = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns, ArrowUp: -this.columns}[event.key];
		if (move) this.point(this.cursor = Math.max(0, Math.min(this.items.length - 1, this.cursor + move)));
		else if (event.key === 'Enter') this.open();
		else return;
		event.preventDefault();
	}
}
