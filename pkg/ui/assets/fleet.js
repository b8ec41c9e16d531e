// Hosts and apps.

import {facts, fill, h, number, plural, span, state, table, terminal, text, View} from './view.js';
import {condition, get, pathOf, since} from './data.js';

const GAP = 2;
const HEIGHT = 300; // above which tiles get smaller
const SIZES = [18, 14, 11, 9, 7, 5];

class Tiles {
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

const INSTANCES = 200;
const kinds = {Stalled: 'bad', NotReady: 'bad', Reconciling: 'busy', Unknown: 'off', Paused: 'skip', Cordoned: 'skip', Ready: 'ok'};
const order = Object.keys(kinds);
const mark = word => state(kinds[word], word);
const ready = object => condition(object, 'Ready');
export const hostState = host => ({True: host.spec?.unschedulable ? 'Cordoned' : 'Ready', False: 'NotReady'})[ready(host)?.status] ?? 'Unknown';
const keyOf = ({metadata: {namespace, name}}) => pathOf(namespace, name);
const byName = (a, b) => keyOf(a) < keyOf(b) ? -1 : 1;

// sorted begins with those that need attention.
function sorted(all, stateOf) {
	all.sort(byName);
	return order.flatMap(word => all.filter(x => stateOf(x) === word));
}
const labels = host => Object.entries(host.metadata.labels ?? {}).map(pair => pair.join('=')).join(' ');

function conditions(object) {
	return table('Conditions', object.status?.conditions ?? [], [['Type', c => c.type], ['Status', c => c.status], ['Reason', c => c.reason],
		['Since', c => span(since(c.lastTransitionTime)), 'n'], ['Message', c => c.message, 'wrap']], c => c.type);
}

export class HostsView extends View {
	title = 'Hosts';
	kind = 'hosts';
	hint = 'name, label=value';
	most = 100;
	choices = Object.fromEntries(['NotReady', 'Unknown', 'Cordoned', 'Ready'].map(word => [word, mark(word)]));
	nothingHere = ['There are no hosts. This simulates three:', 'gatehouse up --simulate-hosts 3'];
	columns = [
		['Host', x => this.entry(keyOf(x))], ['State', x => [hostState(x), () => mark(hostState(x))]], ['Reason', x => ready(x)?.reason ?? 'no report'],
		['Since', x => ready(x) ? span(since(ready(x).lastTransitionTime)) : '', 'n'],
		['Address', x => x.status?.addresses?.[0]?.address],
	];

	above() {
		this.tiles = new Tiles(name => this.page.go('hosts', name));
		return this.tiles.element;
	}

	items(watch) { return sorted(watch.values(), hostState); }

	update() {
		super.update();
		if (!this.tools.hidden) this.tiles.draw();
	}

	selected() { this.tiles.items = this.fit.toSorted(byName).map(x => ({name: x.metadata.name, word: hostState(x)})); }
	fits(host) { return !this.choice || hostState(host) === this.choice; }
	words(host) { return `${host.metadata.name} ${labels(host)}`; }

	summary() {
		const bad = this.all.filter(x => hostState(x) === 'NotReady').length;
		return `${this.fit.length < this.all.length ? `${number(this.fit.length)} of ` : ''}${plural(this.all.length, 'host')}, ${bad} not ready`;
	}

	open(name) {
		this.tiles.chosen = name;
		super.open(name);
	}

	detail(name) {
		const instances = h('div');
		const frame = this.follow(name, host => {
			const {capacity = {}, addresses = []} = host.status ?? {};
			return [h('p', mark(hostState(host)), ` ${addresses.map(a => a.address).join(', ')}`), conditions(host), h('h3', 'Capacity'), facts(Object.entries(capacity))];
		}, instances, terminal(`kubectl describe host ${name}`));
		const abort = new AbortController();
		const read = () => document.hidden || get(`/apis/fleet.gatehouse.dev/v1alpha1/instances?limit=${INSTANCES}&fieldSelector=${encodeURIComponent(`spec.hostName=${name}`)}`, abort.signal)
			.then(list => fill(instances, instancesOf(list)), problem => abort.signal.aborted || fill(instances, h('p.obstacle', problem.message)));
		const timer = setInterval(read, 5000);
		read();
		return Object.assign(frame, {end: () => { abort.abort(); clearInterval(timer); }});
	}
}

const instancesOf = ({items, metadata}) => !items.length ? [h('h3', 'Instances'), 'No instance is bound to this host.'] : [table('Instances', items, [
	['Instance', i => pathOf(i.metadata.namespace, i.metadata.name)], ['Phase', i => [i.status?.phase, i.status?.reason].filter(Boolean).join(': ')],
	['Ready', i => [1, () => ready(i)?.status === 'True' ? state('ok', 'Ready') : state('off', 'NotReady')]],
	['Restarts', i => number((i.status?.containerStatuses ?? []).reduce((sum, c) => sum + (c.restartCount ?? 0), 0)), 'n'],
], i => i.metadata.uid), metadata.continue ? h('p.note', `The first ${INSTANCES}`) : null];

const is = (app, type) => condition(app, type)?.status === 'True';

const appState = app => ['Stalled', 'Reconciling', 'Ready'].find(type => is(app, type)) ?? (app.spec.paused ? 'Paused' : 'Unknown');
export const stalled = app => is(app, 'Stalled');
const reason = app => { const c = condition(app, appState(app)) ?? condition(app, 'Ready'); return [c?.reason, c?.message].filter(Boolean).join(': '); };

export class AppsView extends View {
	title = 'Apps';
	kind = 'apps';
	hint = 'name, namespace, state';
	nothingHere = ['There are no apps. This makes one:', 'kubectl apply -f artifacts/examples/app.yaml'];
	columns = [
		['App', a => this.entry(keyOf(a))], ['Desired', a => number(a.spec.replicas ?? 1), 'n'], ['Updated', a => number(a.status?.updatedReplicas), 'n'],
		['Ready', a => number(a.status?.readyReplicas), 'n'], ['State', a => [appState(a), () => mark(appState(a))]],
		['Reason', a => appState(a) === 'Ready' ? '' : reason(a), 'wrap'],
	];

	items(watch) { return sorted(watch.values(), appState); }
	id(app) { return keyOf(app); }
	words(app) { return `${keyOf(app)} ${appState(app)}`; }
	summary() { return order.map(word => [this.all.filter(a => appState(a) === word).length, word]).filter(([n]) => n).map(pair => pair.join(' ')).join(', '); }

	detail(id) {
		const [namespace, name] = id.split('/');
		return this.follow(id, app => [h('p', mark(appState(app)), ` ${reason(app)}`), conditions(app),
			h('h3', 'Images'), app.spec.template.spec.containers.map(c => h('p', c.image))],
		terminal(`kubectl describe app ${name} -n ${namespace}`, `kubectl get releases,instances -n ${namespace}`));
	}
}
