// Copyright The Gatehouse Authors. SPDX-License-Identifier: Apache-2.0
// Refusals by gate and object, with the cure of the newest of each group.

import {h, number, plural, span} from './dom.js';
import {since} from './stream.js';
import {gates, label, store} from './store.js';
import {cure, cureOf, readTrace, tracePanel} from './trace.js';
import {View} from './view.js';

const CURES = 30; // groups whose cure is read
const order = stop => gates.findIndex(gate => gate.stop === stop);

export class RefusalsView extends View {
	title = 'Refusals';
	kind = 'traces';
	hint = 'gate, user, resource, object';
	cures = new Map();
	nothingHere = ['No request was refused. This one is:', 'kubectl get namespaces --as=nobody'];
	columns = [
		['Gate', g => [g.key, () => [h('b', {}, label(g.newest.stop)), h('span.by', {}, g.newest.by)]]], ['Count', g => number(g.count), 'number'],
		['Request', g => [g.newest.id, () => h('a', {href: this.link(g.newest.id)}, `${g.newest.code} ${g.newest.verb} ${g.newest.resource} ${g.newest.object}`)], 'wrap'],
		['Newest', g => span(since(g.newest.time)), 'number'], ['Users', g => [...g.users].slice(0, 2).join(', ') + (g.users.size > 2 ? ` and ${g.users.size - 2} more` : '')],
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

	// selected reads the newest trace of each group, one after the other.
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
	words(g) { return `${g.key} ${label(g.newest.stop)} ${[...g.users].join(' ')}`; }
	summary() { return `${plural(store.traces.refused.length, 'refusal')} in ${plural(this.all.length, 'group')}`; }
	detail(id) { return tracePanel(this.frame(`Request ${id.slice(0, 8)}`), id); }
}
