// The gates that requests pass, and refusals with their cures.

import {button, duration, fill, h, number, plural, rows, span, text, words} from './dom.js';
import {Flow} from './flow.js';
import {gates, store} from './store.js';
import {since} from './stream.js';
import {cure, cureOf, readTrace, tracePanel, verdict} from './trace.js';
import {View} from './view.js';

const IN_TRAY = 3;
const noRefusal = ['No request was refused. This one is:', 'kubectl get namespaces --as=nobody'];

export class GatesView extends View {
	title = 'Gates';
	kind = 'traces';
	hint = 'user, verb, resource, object';
	choices = {'': 'Refused', failed: 'Failed', all: 'All'};
	gate = '';
	columns = [
		['Age', t => span(since(t.time)), 'n'], ['Verdict', t => [t.verdict, () => verdict(t.verdict)]], ['Code', t => t.code || '–', 'n'], ['User', t => t.user || 'no identity'],
		['Request', t => [t.id, () => h('a', {href: this.link(t.id)}, `${t.verb} ${t.resource} ${t.object}`)], 'wrap'], ['Gate', t => t.stop && words(t.stop) + (t.by && ` / ${t.by}`)],
		['Took', t => duration(t.ms), 'n'], ['ID', t => t.id.slice(0, 8), 'id'],
	];

	head() {
		this.list = h('ol.gates');
		this.flow = new Flow(this.list);
		store.traces.arrived = t => this.flow.arrived(t);
		return [h('div.gauntlet', this.flow.canvas, this.list),
			h('p.note', 'Reads in the first lane, writes in the second. A cross is refused, a ring failed.')];
	}

	begin(page) {
		super.begin(page);
		this.flow.begin();
	}

	end() {
		super.end();
		this.flow.end();
	}

	update() {
		const {counts, refused} = store.traces;
		rows(this.list, gates.filter(gate => !gate.rare || counts[gate.stop] > 0), gate => gate.stop, gate => this.build(gate), (element, {stop}) => {
			const n = counts[stop] ?? 0;
			text(element.rate, `${store.traces.rate(stop).toFixed(1)}/s`);
			text(element.refused, n ? `${number(n)} refused` : 'none refused');
			element.classList.toggle('refusing', n > 0);
			element.firstChild.setAttribute('aria-pressed', this.gate === stop);
			const latest = n ? refused.filter(t => t.stop === stop).slice(-IN_TRAY).reverse() : [];
			rows(element.tray, latest, t => t.id, t => h('li', h('a', {href: this.link(t.id)}, h('b', t.code), ` ${t.verb} ${t.resource.split('.')[0]}`)));
		});
		super.update();
	}

	build({stop, writes}) {
		const [rate, refused, tray] = [h('span.rate'), h('span.refused'), h('ul.tray')];
		const head = button([h('span.label', words(stop)), ' ', rate, ' ', refused], () => { this.gate = this.gate === stop ? '' : stop; this.refresh(); }, {class: 'name'});
		return Object.assign(h('li.gate', {'data-stop': stop}, head, h('div.lane'), tray), {rate, refused, tray, writes});
	}

	items({refused, others}) {
		const list = {'': refused, failed: others.filter(t => t.verdict !== 'Allowed'), all: [...refused, ...others].sort((a, b) => a.time - b.time)}[this.choice];
		return list.slice().reverse();
	}

	id(t) { return t.id; }
	words(t) { return `${t.user} ${t.verb} ${t.resource} ${t.object} ${t.code} ${t.id}`; }
	fits(t) { return !this.gate || t.stop === this.gate; }
	summary() { return `${store.traces.rate('').toFixed(1)} requests a second, ${number(store.traces.refused.length)} kept refusals`; }
	detail(id) { return tracePanel(this.frame(`Request ${id.slice(0, 8)}`), id); }
	nothingOf() { return this.choice ? ['No such request is kept. This sends one:', 'kubectl get namespaces'] : noRefusal; }
}

const CURES = 30; // groups whose cure is read
const order = stop => gates.findIndex(gate => gate.stop === stop);

export class RefusalsView extends View {
	title = 'Refusals';
	kind = 'traces';
	hint = 'gate, user, resource, object';
	cures = new Map();
	nothingHere = noRefusal;
	columns = [
		['Gate', g => [g.key, () => [h('b', words(g.newest.stop)), h('span.by', g.newest.by)]]], ['Count', g => number(g.count), 'n'],
		['Request', g => [g.newest.id, () => h('a', {href: this.link(g.newest.id)}, `${g.newest.code} ${g.newest.verb} ${g.newest.resource} ${g.newest.object}`)], 'wrap'],
		['Newest', g => span(since(g.newest.time)), 'n'], ['Users', g => [...g.users].slice(0, 3).join(', ')],
		['Cure', g => [this.cures.get(g.key), () => cureOf(this.cures.get(g.key)) ?? '…'], 'wide'],
	];

	items({refused}) {
		const groups = new Map();
		for (const t of refused) {
			const key = [t.stop, t.by, t.code, t.verb, t.resource, t.object].join('\n');
			if (!groups.has(key)) groups.set(key, {key, count: 0, users: new Set()});
			const group = groups.get(key);
			group.count++;
			group.newest = t;
			group.users.add(t.user || 'no identity');
		}
		return [...groups.values()].sort((a, b) => order(a.newest.stop) - order(b.newest.stop) || b.count - a.count);
	}

	async selected() {
		if (this.reading) return;
		this.reading = true;
		if (this.cures.size > 500) this.cures.clear();
		for (const {key, newest} of this.fit.slice(0, CURES)) {
			if (this.cures.has(key)) continue;
			const way = await readTrace(newest.id).then(cure, problem => problem.code === 404 ? ['The server has forgotten the request.'] : null);
			if (!way) break;
			this.cures.set(key, way);
			this.page.changed();
		}
		this.reading = false;
	}

	id(g) { return g.key; }
	style(g) { return g.newest.id === this.opened ? 'chosen' : ''; }
	words(g) { return `${g.key} ${words(g.newest.stop)} ${[...g.users].join(' ')}`; }
	summary() { return `${plural(store.traces.refused.length, 'refusal')} in ${plural(this.all.length, 'group')}`; }
	detail(id) { return tracePanel(this.frame(`Request ${id.slice(0, 8)}`), id); }
}
