// Requests: the gates that they pass, what each gate decided, refusals with their cures.

import {button, command, duration, facts, fill, h, number, plural, rows, span, state, table, terminal, text, time, View, words} from './view.js';
import {Flow} from './flow.js';
import {gates, get, pathOf, resourceOf, since, store} from './data.js';

const kinds = {Allowed: 'ok', Passed: 'ok', Refused: 'bad', Failed: 'warn', TimedOut: 'warn', Ignored: 'warn', WouldRefuse: 'warn'};
const verdict = word => state(kinds[word] ?? 'skip', word);
const readTrace = (id, signal) => get(`${store.traces.path}/${encodeURIComponent(id)}`, signal);

const quote = word => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

// cure is a sentence, and a command if there is one.
function cure({cure: least, verdict: word, decidedBy: {stop, by = ''} = {}, request: r = {}, stops = [], code}) {
	if (least) return ['This grants the least by which the request is allowed:', least];
	if (word !== 'Refused') return null;
	const where = r.namespace ? ` -n ${quote(r.namespace)}` : '';
	const kind = [r.resource, r.apiGroup].filter(Boolean).join('.');
	const explain = kind && `kubectl explain ${kind}`;
	const ways = {
		Start: ['The server is starting. Repeat the request.'],
		Authentication: ['Log in again, or renew the credential in the kubeconfig.'],
		Impersonation: ['The user needs the verb impersonate to act as this one.'],
		FlowControl: ['Send fewer requests at a time, or raise the share of the priority level.', 'kubectl get prioritylevelconfigurations'],
		Authorization: ['A user that may bind roles must grant this verb, and sees the command for it.'],
		Limits: ['Send a smaller request, or fewer.'],
		Decoding: ['The body does not fit the kind:', explain],
		Validation: ['Correct the fields in the cause.', explain],
		Storage: code === 409 ? ['Another write came first. Read the object again and repeat the change.', r.name && `kubectl get ${kind} ${quote(r.name)}${where} -o yaml --show-managed-fields`]
			: ['The storage did not accept the write.', 'kubectl get storagemembers'],
		ResourceQuota: ['Use less, or have spec.hard of the quota raised.', `kubectl describe resourcequotas${where}`],
		LimitRanger: ['Change the object, or the limit range.', `kubectl describe limitranges${where}`],
	};
	if (ways[by] ?? ways[stop]) return ways[by] ?? ways[stop];
	if (!by.includes('/')) return [`Change the object as ${by} describes.`];
	const policy = stops.some(s => s.stop === stop && s.verdict === 'Refused' && /Policy$/.test(s.by));
	return [policy ? 'Change the object, or the policy and its binding.' : 'Change the object, or repair the webhook: its failurePolicy decides while it fails.',
		`kubectl get ${stop === 'MutatingAdmission' ? 'mutating' : 'validating'}${policy ? 'admissionpolicies' : 'webhookconfigurations'} ${quote(by.split('/')[0])} -o yaml`];
}

const cureOf = way => way && [h('p', way[0]), way[1] && command(way[1])];

const object = o => `${o.kind} ${pathOf(o.namespace, o.name)}`;
const held = ({inUse, waiting, holders}, user) => `${plural(inUse, 'seat')} in use (${holders.map(x => `${x.username === user ? 'this user' : x.username || 'other users'} ${x.seats}`).join(', ')}), ${plural(waiting, 'request')} waiting`;
const wrote = w => [w.manager, w.operation === 'Apply' ? 'applied' : 'wrote', w.subresource, w.username && `as ${w.username}`, w.time && `at ${w.time}`].filter(Boolean).join(' ');

const cause = ({seats = {}, ...s}, user) => [s.shadow && 'in shadow: decides nothing', s.reason, s.priorityLevel && `priority level ${s.priorityLevel}`, seats.queued && 'waited in a queue',
	seats.requested > 1 && `${seats.requested} seats`, seats.holders && held(seats, user), s.grant && `by ${object(s.grant.binding)}, ${object(s.grant.role)}`,
	s.changed && `changed ${s.changedPaths?.join(', ') ?? 'the object'}`, s.calls > 1 && `${s.calls} calls`, ...(s.otherWrites ?? []).map(wrote), s.etcdLatency && `etcd took ${time(s.etcdLatency)}`].filter(Boolean).join('; ');

const idle = s => s.verdict === 'NotCalled';

function tablesOf({stops = [], decidedBy = {}, user = {}}) {
	const decided = s => s.stop === decidedBy.stop && (s.by ?? '') === (decidedBy.by ?? '');
	const gate = [['Gate', s => words(s.stop)], ['By', s => s.by || '–']];
	const id = s => s.stop + s.by;
	const balances = stops.flatMap(s => s.quotas ?? []).flatMap(({quota, refused, resources = []}) => resources.map(r => ({...r, quota: quota.name, refused})));
	return [
		table('Gates', stops.filter(s => !idle(s)), [...gate,
			['Verdict', s => ['', () => [verdict(s.verdict), decided(s) && h('span.hidden', ' and decided')]]], ['Time', s => time(s.latency), 'n'], ['Cause', s => cause(s, user.username), 'wrap']], id, s => decided(s) ? 'decided' : ''),
		table('Quotas', balances, [['Quota', b => b.quota], ['Resource', b => b.name], ['Requested', b => b.requested, 'n'], ['Left', b => b.left, 'n'], ['Of', b => b.hard, 'n']], b => b.quota + b.name, b => b.refused ? 'decided' : ''),
		table('Not called', stops.filter(idle), [...gate, ['Cause', s => s.reason, 'wrap']], id),
	];
}

const misses = list => [h('h3', 'Near misses'), h('ul.misses', list.map(miss => h('li',
	h('b', `${object(miss.binding)} → ${object(miss.role)}`), h('p', miss.roleMissing ? 'The role does not exist.' : miss.rule),
	miss.misfits && h('p', 'Does not fit: ', miss.misfits.map(m => h('span.tag', m))))))];

function bodyOf(trace) {
	const {user = {}, request: r = {}, metadata: {name}} = trace;
	const way = cure(trace);
	return [
		h('p', h('b', user.username || 'A client without a valid identity'), ` ${r.verb} `, h('b', resourceOf(r)), ' ', h('b', pathOf(r.namespace, r.name))),
		way && h('section.cure', h('h3', 'Cure'), cureOf(way)), trace.timedOut && h('p', `Its time ended at the gate ${words(trace.decidedBy.stop)}.`), tablesOf(trace), trace.nearMisses && misses(trace.nearMisses),
		h('h3', 'Request'), facts([['User', user.username], ['Groups', user.groups?.join(', ')], ['Impersonated by', user.impersonatedBy], ['From', r.sourceIP], ['Program', r.userAgent],
			['Server', trace.server], ['Received', `${trace.receivedTime}, ${span(since(trace.receivedTime))} ago`], ['Took', time(trace.latency)], ['Audit-ID', name]]),
		terminal(`kubectl gatehouse why ${name.slice(0, 8)}`),
	];
}

function tracePanel(view, id) {
	const frame = view.frame(`Request ${id.slice(0, 8)}`);
	const abort = new AbortController();
	readTrace(id, abort.signal).then(trace => {
		fill(frame.heading, verdict(trace.timedOut ? 'TimedOut' : trace.verdict), ` ${trace.code || ''} ${trace.reason ?? ''}`);
		fill(frame.body, bodyOf(trace));
	}).catch(problem => abort.signal.aborted
		|| fill(frame.body, h('p.obstacle', problem.code === 404 ? 'The server has forgotten this request.' : problem.message)));
	return {...frame, end: () => abort.abort()};
}

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
		['Request', t => this.entry(t.id, `${t.verb} ${t.resource} ${t.object}`), 'wrap'], ['Gate', t => t.stop && words(t.stop) + (t.by && ` / ${t.by}`)],
		['Took', t => duration(t.ms), 'n'], ['ID', t => t.id.slice(0, 8)],
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
	detail(id) { return tracePanel(this, id); }
	get nothingHere() { return this.choice ? ['No such request is kept. This sends one:', 'kubectl get namespaces'] : noRefusal; }
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
		['Request', ({newest: t}) => this.entry(t.id, `${t.code} ${t.verb} ${t.resource} ${t.object}`), 'wrap'],
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
	detail(id) { return tracePanel(this, id); }
}
