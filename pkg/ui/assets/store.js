// What the page keeps. Every collection is bounded.

import {millis} from './dom.js';

const KEPT = 1000; // refusals, and as many other requests
const MOST = 50000; // objects of another kind
const SECONDS = 8; // of a rate

// Gates with - are shown after a refusal. Reads do not pass those with +.
export const gates = 'Start- Authentication Impersonation- FlowControl Authorization Limits- Decoding-+ MutatingAdmission+ Validation+ ValidatingAdmission+ Storage'.split(' ')
	.map(gate => ({stop: gate.match(/\w+/)[0], rare: gate.includes('-'), writes: gate.includes('+')}));

export const resourceOf = r => r.resource ? r.resource + (r.subresource ? `/${r.subresource}` : '') + (r.apiGroup ? `.${r.apiGroup}` : '') : r.path ?? '';
export const pathOf = (namespace, name) => [namespace, name].filter(Boolean).join('/');
export const condition = (object, type) => object.status?.conditions?.find(c => c.type === type);

class Collection {
	version = 0;
	items = new Map();

	constructor(group, resource) { Object.assign(this, {group, resource, path: `/apis/${group}/v1alpha1/${resource}`}); }

	row({e, synced, reset, error}) {
		this.version++;
		if (reset) { this.clear(); this.synced = false; }
		if (e && e.type !== 'BOOKMARK') this.event(e.type, e.object);
		if (synced) this.synced = true;
		this.problem = error;
	}

	clear() { this.items.clear(); }

	event(type, object) {
		const key = pathOf(object.metadata.namespace, object.metadata.name);
		delete object.metadata.managedFields;
		if (type === 'DELETED') this.items.delete(key);
		else if (this.items.size < MOST || this.items.has(key)) this.items.set(key, object);
	}

	values() { return [...this.items.values()]; }
}

function summary(trace) {
	const {request = {}, decidedBy = {}, verdict} = trace;
	return {
		id: trace.metadata.name, time: Date.parse(trace.receivedTime), user: trace.user?.username ?? '', verb: request.verb ?? '',
		resource: resourceOf(request), object: pathOf(request.namespace, request.name),
		read: !request.resource || /^(get|list|watch)$/.test(request.verb), code: trace.code ?? 0, verdict: trace.timedOut ? 'TimedOut' : verdict,
		refused: verdict === 'Refused', stop: decidedBy.stop ?? '', by: decidedBy.by ?? '', ms: millis(trace.latency),
	};
}

class Traces extends Collection {
	passed = new Map(); // by gate and second

	clear() {
		super.clear();
		this.refused = [];
		this.others = [];
		this.counts = {}; // kept refusals by gate
	}

	event(type, trace) {
		// A trace that the server has forgotten is still shown.
		if (type !== 'ADDED' || this.items.has(trace.metadata.name)) return;
		const kept = summary(trace);
		const list = kept.refused ? this.refused : this.others;
		this.items.set(kept.id, kept);
		if (kept.refused) this.counts[kept.stop] = (this.counts[kept.stop] ?? 0) + 1;
		if (list.push(kept) > KEPT) {
			const old = list.shift();
			this.items.delete(old.id);
			if (old.refused) this.counts[old.stop]--;
		}
		if (!this.synced) return;
		this.advance();
		for (const stop of new Set(['', ...(trace.stops ?? []).map(s => s.stop)])) {
			if (!this.passed.has(stop)) this.passed.set(stop, new Uint32Array(SECONDS));
			this.passed.get(stop)[this.second % SECONDS]++;
		}
		this.arrived?.(kept);
	}

	advance() {
		const second = Math.floor(performance.now() / 1000);
		for (let s = Math.max((this.second ?? 0) + 1, second - SECONDS + 1); s <= second; s++) this.passed.forEach(counts => { counts[s % SECONDS] = 0; });
		this.second = second;
	}

	rate(stop) {
		this.advance();
		const counts = this.passed.get(stop) ?? [];
		return (counts.reduce((sum, n) => sum + n, 0) - (counts[this.second % SECONDS] ?? 0)) / (SECONDS - 1);
	}
}

const [diagnostics, fleet] = ['diagnostics.gatehouse.dev', 'fleet.gatehouse.dev'];

export const store = {
	traces: new Traces(diagnostics, 'requesttraces'), sessions: new Collection(diagnostics, 'watchsessions'), members: new Collection(diagnostics, 'storagemembers'),
	hosts: new Collection(fleet, 'hosts'), apps: new Collection(fleet, 'apps'),
};
store.traces.clear();
export const collectionAt = path => Object.values(store).find(c => c.path === path);
