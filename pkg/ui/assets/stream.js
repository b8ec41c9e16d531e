// One connection for all watches: a browser opens six.

const SILENCE = 15000; // the server sends a heartbeat every 5 s

let skew = 0;

// now is the time of the server. since is an age in seconds.
export const now = () => Date.now() + skew;
export const since = time => time ? Math.max(0, (now() - new Date(time)) / 1000) : 0;

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
