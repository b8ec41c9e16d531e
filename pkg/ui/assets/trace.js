// One request: what each gate decided, the cause and the cure.

import {command, duration, facts, fill, millis, Grid, h, span, state, words} from './dom.js';
import {get, since} from './stream.js';
import {pathOf, resourceOf, store} from './store.js';
import {terminal} from './view.js';

const kinds = {Allowed: 'ok', Passed: 'ok', Refused: 'bad', Failed: 'warn', TimedOut: 'warn', Ignored: 'warn'};
export const verdict = word => state(kinds[word] ?? 'skip', word);
export const readTrace = (id, signal) => get(`${store.traces.path}/${encodeURIComponent(id)}`, signal);

const quote = word => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

// cure is a sentence, and a command if there is one.
export function cure({cure: least, verdict: word, decidedBy: {stop, by = ''} = {}, request: r = {}, stops = [], code}) {
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

export const cureOf = way => way && [h('p', way[0]), way[1] && command(way[1])];

const object = o => `${o.kind} ${pathOf(o.namespace, o.name)}`;
const cause = s => [s.reason, s.priorityLevel && `priority level ${s.priorityLevel}`, s.grant && `by ${object(s.grant.binding)}, ${object(s.grant.role)}`,
	s.changed && `changed ${s.changedPaths?.join(', ') ?? 'the object'}`, s.calls > 1 && `${s.calls} calls`].filter(Boolean).join('; ');

function stopsOf({stops = [], decidedBy = {}}) {
	const decided = s => s.stop === decidedBy.stop && (s.by ?? '') === (decidedBy.by ?? '');
	return new Grid('What each gate decided', [
		['Gate', s => words(s.stop)], ['By', s => s.by || '–'], ['Verdict', s => ['', () => [verdict(s.verdict), decided(s) && h('span.hidden', ' and decided')]]],
		['Time', s => duration(millis(s.latency)), 'n'], ['Cause', cause, 'wrap']], s => s.stop + s.by).set(stops, s => decided(s) ? 'decided' : '');
}

const misses = list => [h('h3', 'Near misses'), h('ul.misses', list.map(miss => h('li',
	h('b', `${object(miss.binding)} → ${object(miss.role)}`), h('p', miss.roleMissing ? 'The role does not exist.' : miss.rule),
	miss.misfits && h('p', 'Does not fit: ', miss.misfits.map(m => h('span.tag', m))))))];

function bodyOf(trace) {
	const {user = {}, request: r = {}, metadata: {name}} = trace;
	const way = cure(trace);
	return [
		h('p', h('b', user.username || 'A client without a valid identity'), ` ${r.verb} `, h('b', resourceOf(r)), ' ', h('b', pathOf(r.namespace, r.name))),
		way && h('section.cure', h('h3', 'Cure'), cureOf(way)), h('h3', 'Gates'), stopsOf(trace), trace.nearMisses && misses(trace.nearMisses),
		h('h3', 'Request'), facts([['User', user.username], ['Groups', user.groups?.join(', ')], ['Impersonated by', user.impersonatedBy], ['From', r.sourceIP], ['Program', r.userAgent],
			['Server', trace.server], ['Received', `${trace.receivedTime}, ${span(since(trace.receivedTime))} ago`], ['Took', duration(millis(trace.latency))], ['Audit-ID', name]]),
		terminal(`kubectl gatehouse why ${name.slice(0, 8)}`),
	];
}

export function tracePanel(frame, id) {
	const abort = new AbortController();
	readTrace(id, abort.signal).then(trace => {
		fill(frame.heading, verdict(trace.timedOut ? 'TimedOut' : trace.verdict), ` ${trace.code || ''} ${trace.reason ?? ''}`);
		fill(frame.body, bodyOf(trace));
	}).catch(problem => abort.signal.aborted
		|| fill(frame.body, h('p.obstacle', problem.code === 404 ? 'The server has forgotten this request.' : problem.message)));
	return {...frame, end: () => abort.abort()};
}
