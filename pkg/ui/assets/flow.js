// Requests as dots: reads in one lane, writes in the other. A refused one falls at its gate.

const MOST_A_SECOND = 200;
const SECONDS = 2.6; // from the first edge to the last
const FALL = 0.9;
const [READS, WRITES, GAP] = [0.27, 0.73, 0.13]; // the middles of the lanes across, and half of an opening

export class Flow {
	dots = [];
	last = 0;
	dues = 0;
	still = matchMedia('(prefers-reduced-motion: reduce)');
	canvas = document.createElement('canvas');

	constructor(list) {
		this.list = list;
		this.canvas.className = 'flow';
	}

	begin() {
		this.frame = requestAnimationFrame(() => this.draw());
	}

	end() {
		cancelAnimationFrame(this.frame);
		this.frame = 0;
		this.dots = [];
	}

	// The axes change places if the gates are below each other.
	layout() {
		const {list, canvas} = this;
		const box = list.getBoundingClientRect();
		const ratio = Math.min(2, devicePixelRatio);
		[canvas.width, canvas.height] = [box.width * ratio, box.height * ratio];
		const lanes = [...list.querySelectorAll('.lane')].map(lane => lane.getBoundingClientRect());
		const down = lanes[1].top >= lanes[0].bottom;
		this.length = down ? box.height : box.width;
		this.places = new Map(lanes.map((lane, i) => {
			const [x, y] = [[lane.left - box.left, lane.width], [lane.top - box.top, lane.height]];
			const [[from, size], [top, deep]] = down ? [y, x] : [x, y];
			const {dataset, writes} = list.children[i];
			return [dataset.stop, {middle: from + size / 2, top, deep, writes}];
		}));
		this.pen = canvas.getContext('2d');
		this.pen.setTransform(...(down ? [0, ratio, ratio, 0] : [ratio, 0, 0, ratio]), 0, 0);
	}

	arrived(trace) {
		if (!this.frame || this.still.matches || document.hidden) return;
		const time = performance.now() / 1000;
		this.dues = Math.min(20, this.dues + (time - this.last) * MOST_A_SECOND);
		this.last = time;
		// The last ones are for refusals.
		if (this.dues < (trace.refused ? 1 : 5)) return;
		this.dues--;
		this.dots.push({start: time + Math.random() / 4, read: trace.read, stop: trace.refused && trace.stop, failed: trace.verdict !== 'Allowed', offset: Math.random() - 0.5});
	}

	draw() {
		this.frame = requestAnimationFrame(() => this.draw());
		const {list, pen, still} = this;
		const shape = [list.clientWidth, list.clientHeight, list.children.length].join();
		if (shape !== this.shape) {
			this.shape = shape;
			this.layout();
		}
		if (!pen || still.matches) return;
		const style = getComputedStyle(list);
		this.colours = name => style.getPropertyValue(`--${name}`);
		pen.clearRect(0, 0, 1e4, 1e4);
		this.places.forEach(place => this.drawGate(pen, place));
		const time = performance.now() / 1000;
		this.dots = this.dots.filter(dot => this.drawDot(pen, dot, time - dot.start));
	}

	line(points) {
		this.pen.beginPath();
		points.forEach(([x, y], i) => i % 2 ? this.pen.lineTo(x, y) : this.pen.moveTo(x, y));
		this.pen.stroke();
	}

	// A gate is a wall with an opening in each lane.
	drawGate(pen, {middle, top, deep, writes}) {
		pen.lineWidth = 2;
		pen.strokeStyle = this.colours('faint');
		for (const [from, to] of [...(writes ? [[0.5, WRITES - GAP]] : [[0, READS - GAP], [READS + GAP, WRITES - GAP]]), [WRITES + GAP, 1]]) {
			this.line([[middle, top + deep * from], [middle, top + deep * to]]);
		}
	}

	// drawDot returns false at the end of a dot.
	drawDot(pen, {stop, read, failed, offset}, elapsed) {
		const place = this.places.get(stop);
		const {top, deep} = place ?? this.places.values().next().value;
		const end = place?.middle ?? this.length;
		const x = Math.min(end, this.length * Math.max(0, elapsed) / SECONDS);
		const fallen = x < end ? 0 : (elapsed - SECONDS * end / this.length) / FALL;
		if (fallen >= 1 || x >= end && !place) return false;
		let y = top + deep * ((read ? READS : WRITES) + offset * 0.2);
		y += (top + deep - y) * fallen ** 2;
		pen.globalAlpha = 1 - fallen ** 2;
		pen.fillStyle = this.colours('ok');
		pen.strokeStyle = this.colours(place ? 'bad' : 'warn');
		const r = fallen ? 5 : 3;
		if (place) this.line([[x - r, y - r], [x + r, y + r], [x + r, y - r], [x - r, y + r]]);
		else {
			pen.beginPath();
			pen.arc(x, y, 2.6, 0, 7);
			if (failed) pen.stroke();
			else pen.fill();
		}
		pen.globalAlpha = 1;
		return true;
	}
}
