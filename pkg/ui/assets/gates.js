// Copyright The Gatehouse Authors. SPDX-License-Identifier: Apache-2.0
// The gates that requests pass, live.

import {button, duration, fill, h, number, rows, span, text} from './dom.js';
import {since} from './stream.js';
import {gates, label, store} from './store.js';
import {Flow} from './flow.js';
import {tracePanel, verdict} from './trace.js';
import {View} from './view.js';

const IN_TRAY = 3;

export class GatesView extends View {
	title = 'Gates';
	kind = 'traces';
	hint = 'user, verb, resource, object';
	choices = {'': 'Refused', failed: 'Failed', all: 'All'};
	gate = '';
	columns = [
		['Age', t => span(since(t.time)), 'number'], ['Verdict', t => [t.verdict, () => verdict(t.verdict)]], ['Code', t => t.code || '–', 'number'], ['User', t => t.user || 'no identity'],
		['Request', t => [t.id, () => h('a', {href: this.link(t.id)}, `${t.verb} ${t.resource} ${t.object}`)], 'wrap'], ['Gate', t => t.stop && label(t.stop) + (t.by && ` / ${t.by}`)],
		['Took', t => duration(t.ms), 'number'], ['ID', t => t.id.slice(0, 8), 'id'],
	];

	head() {
		this.list = h('ol.gates');
		this.flow = new Flow(this.list);
		store.traces.arrived = t => { if (this.flow.running) this.flow.arrived(t); };
		// Rows do not move below the pointer.
		this.grid.body.addEventListener('pointerenter', () => { this.held = true; });
		this.grid.body.addEventListener('pointerleave', () => { this.held = false; });
		return [h('div.gauntlet', {}, this.flow.canvas, this.list),
			h('p.note', {}, 'One dot is one request: reads in the first lane, writes in the second. A cross is refused, a ring failed.')];
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
			element.firstChild.setAttribute('aria-pressed', String(this.gate === stop));
			const latest = n ? refused.filter(t => t.stop === stop).slice(-IN_TRAY).reverse() : [];
			rows(element.tray, latest, t => t.id, t => h('li', {}, h('a', {href: this.link(t.id)}, h('b', {}, t.code), ` ${t.verb} ${t.resource.split('.')[0]}`)));
		});
		super.update();
	}

	build({stop, label: name, writes}) {
		const [rate, refused, tray] = [h('span.rate'), h('span.refused'), h('ul.tray')];
		const head = button([h('span.label', {}, name), ' ', rate, ' ', refused], () => { this.gate = this.gate === stop ? '' : stop; this.refresh(); }, {class: 'name'});
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
	nothingOf() { return this.choice ? ['No such request is kept. This sends one:', 'kubectl get namespaces'] : ['No request was refused. This one is:', 'kubectl get namespaces --as=nobody']; }
}
