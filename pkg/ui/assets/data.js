// What the page reads, by one connection for all watches: a browser opens six. Every collection is bounded.

const SILENCE = 15000; // the server sends a heartbeat every 5 s

let skew = 0;

// now is the time of the server. since is an age in seconds.
export const now = () => Date.now() + skew;
export const since = time => time ? Math.max(0, (now() - new Date(time)) / 1000) : 0;

const units = {ns: 1e-6, µs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5};

// millis returns the milliseconds of a duration such as 1m2.5s.
export const millis = value => [...(value ?? '').matchAll(/([\d.]+)(ns|µs|ms|s|m|h)/g)].reduce((sum, m) => sum + m[1] * units[m[2]], 0);

const problem = (code, message) => Object.assign(new Error(message || `HTTP ${code}`), {code});

export async function request(path, options) {
	const response = await fetch(path, {cache: 'no-store', ...options});
	if (!response.ok) throw problem(response.status, (await response.json().catch(() => ({}))).message);
	return response;
}

export const get = async (path, signal) => (await request(`/ui/api${path}`, {signal})).json();

// The sink has row(path, row), opened(), closed(delay, problem) and ended(problem).
export class Stream {
	paths = [];
	failures = 0;

	constructor(sink) { this.sink = sink; }

	follow(paths) {
		if (this.running && paths.join() === this.paths.join()) return;
		this.paths = paths;
		this.start();
	}

	async start() {
		this.stop();
		this.running = true;
		const abort = this.abort = new AbortController();
		const failure = await this.read(abort).catch(error => error);
		if (abort !== this.abort || !this.running) return;
		clearTimeout(this.silence);
		if (failure.code === 401) {
			this.stop();
			this.sink.ended(failure);
			return;
		}
		const delay = Math.min(500 * 2 ** this.failures++, 15000) * (0.8 + 0.4 * Math.random());
		this.sink.closed(delay, failure);
		this.timer = setTimeout(() => this.start(), delay);
	}

	stop() {
		this.running = false;
		clearTimeout(this.timer);
		clearTimeout(this.silence);
		this.abort?.abort();
	}

	async read(abort) {
		const {paths} = this;
		this.listen(abort);
		const response = await request(`/ui/stream?${paths.map(path => `watch=${encodeURIComponent(path)}`).join('&')}`, {signal: abort.signal});
		paths.forEach(path => this.sink.row(path, {reset: true}));
		const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
		for (let rest = ''; ;) {
			const {value, done} = await reader.read();
			if (done || abort !== this.abort) return problem(0, 'The connection ended.');
			this.listen(abort);
			const lines = (rest + value).split('\n');
			rest = lines.pop();
			for (const line of lines) {
				const row = JSON.parse(line || '{}');
				if (row.end) return problem(0, row.end);
				if (row.heartbeat) {
					skew = Date.parse(row.heartbeat) - Date.now();
					this.failures = 0;
					this.sink.opened();
				}
				if (paths[row.s]) this.sink.row(paths[row.s], row);
			}
		}
	}

	// A stopped server keeps its connections.
	listen(abort) {
		clearTimeout(this.silence);
		this.silence = setTimeout(() => abort.abort(problem(0, 'The server is silent.')), SILENCE);
	}
}

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

const uptime = () => Math.floor(performance.now() / 1000);

class Traces extends Collection {
	seconds = []; // the newest first: requests by gate

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
		const second = uptime();
		if (this.seconds[0]?.second !== second) this.seconds = [{second}, ...this.seconds.slice(0, SECONDS)];
		const [counts] = this.seconds;
		for (const stop of new Set(['', ...(trace.stops ?? []).map(s => s.stop)])) counts[stop] = (counts[stop] ?? 0) + 1;
		this.arrived?.(kept);
	}

	// The current second is not complete.
	rate(stop) {
		const past = this.seconds.filter(({second}) => second < uptime() && second > uptime() - SECONDS);
		return past.reduce((sum, counts) => sum + (counts[stop] ?? 0), 0) / (SECONDS - 1);
	}
}

const [diagnostics, fleet] = ['diagnostics.gatehouse.dev', 'fleet.gatehouse.dev'];

export const store = {
	traces: new Traces(diagnostics, 'requesttraces'), sessions: new Collection(diagnostics, 'watchsessions'), members: new Collection(diagnostics, 'storagemembers'),
	hosts: new Collection(fleet, 'hosts'), apps: new Collection(fleet, 'apps'),
};
store.traces.clear();
export const collectionAt = path => Object.values(store).find(c => c.path === path);
