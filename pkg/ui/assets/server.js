// Watches, the blocked ones first, and the members of etcd.

import {bytes, duration, empty, facts, fill, h, number, once, plural, span, state, time, View} from './view.js';
import {millis, now, pathOf, resourceOf, since, store} from './data.js';

const open = s => s.state === 'Open';
const slow = s => /^(ClientBlocked|TooSlow|Error)$/.test(s.end?.reason);
export const blocked = s => open(s) && Boolean(s.blockedSince);
const rank = s => blocked(s) ? 1e15 + now() - Date.parse(s.blockedSince) : slow(s) ? Date.parse(s.end.time) : millis(s.longestBlocked);
const what = ({request: r = {}}) => [resourceOf(r), pathOf(r.namespace, r.name), r.labelSelector && `[${r.labelSelector}]`, r.fieldSelector && `[${r.fieldSelector}]`].filter(Boolean).join(' ');
const client = ({user = {}}) => [user.userAgent?.split(' ')[0], user.sourceIP].filter(Boolean).join(' from ');

export class WatchesView extends View {
	title = 'Watches';
	kind = 'sessions';
	hint = 'user, resource, client';
	choices = {ended: 'With ended ones'};
	nothingHere = ['The server serves no watch. This opens one:', 'kubectl get namespaces --watch'];
	columns = [
		['State', s => [s.state + blocked(s), () => open(s) ? blocked(s) ? state('bad', 'Blocked') : state('ok', 'Flowing') : state(slow(s) ? 'warn' : 'skip', `Ended: ${s.end.reason}`)]],
		['User', s => s.user?.username], ['Watches', what, 'wrap'], ['Blocked', s => blocked(s) ? duration(1000 * since(s.blockedSince)) : '', 'n'],
		['Longest', s => s.longestBlocked ? time(s.longestBlocked) : '', 'n'], ['Events', s => number(s.events), 'n'], ['Bytes', s => bytes(s.bytes), 'n'],
		['Open for', s => span(s.end ? millis(s.end.duration) / 1000 : since(s.startTime)), 'n'], ['Served from', s => s.servedFrom], ['Client', client],
	];

	items(watch) { return watch.values().map(s => [rank(s), s]).sort((a, b) => b[0] - a[0]).map(pair => pair[1]); }
	fits(s) { return this.choice || open(s) || slow(s); }
	words(s) { return `${s.user?.username} ${what(s)} ${client(s)}`; }
	style(s) { return blocked(s) ? 'decided' : ''; }
	summary() { return `${number(this.all.filter(open).length)} open, ${number(this.all.filter(blocked).length)} blocked`; }
}

const SLOW = 50; // milliseconds of fsync
const FULL = 0.8; // of the quota

const name = m => m.memberName || m.metadata.name;
const health = m => state({Healthy: 'ok', Unhealthy: 'warn'}[m.health] ?? 'bad', m.health);
export const ill = m => m.health !== 'Healthy' || m.alarms?.length > 0;

function fsync({fsync: f, fsyncUnavailable}) {
	if (!f) return `unknown${fsyncUnavailable ? `: ${fsyncUnavailable}` : ''}`;
	return [time(f.p99), millis(f.p99) > SLOW ? [' ', state('warn', 'slow')] : '', ` in ${plural(f.count, 'write')}`, f.window ? ` of ${span(millis(f.window) / 1000)}` : ''];
}

function card(m) {
	const used = m.quotaBytes ? m.dbSizeBytes / m.quotaBytes : 0;
	return h('li.card', h('header', h('h2', name(m)), h('span', health(m), m.alarms?.map(alarm => [' ', state('bad', `Alarm ${alarm}`)]))), m.error && h('p.obstacle', m.error),
		facts([['Role', m.role], ['Last response', m.lastSeenTime ? `${span(since(m.lastSeenTime))} ago${m.roundTrip ? `, within ${time(m.roundTrip)}` : ''}` : 'never'],
			['Behind', m.behind == null ? 'unknown' : `${number(m.behind)} entries`], ['fsync p99', fsync(m)],
			['Database', m.dbSizeBytes && [`${bytes(m.dbSizeBytes)}, ${bytes(m.dbSizeInUseBytes)} in use`, m.quotaBytes && `, ${(100 * used).toFixed(1)} % of the quota `, used > FULL && state('warn', 'nearly full')]],
			['Version', m.version && `etcd ${m.version}`], ['Address', m.clientURLs?.join(', ')]]));
}

export class StorageView {
	title = 'Storage';
	kind = 'members';
	element = h('div', h('h1.title', {tabindex: -1}, 'Storage'), this.body = h('div'));

	begin() {}
	end() {}
	open() {}

	update() {
		const {version, synced, items} = store.members;
		if (!synced && items.size) return;
		once(this.body, `${version} ${Math.floor(Date.now() / 1000)}`, () => {
			const members = store.members.values().sort((a, b) => name(a) < name(b) ? -1 : 1);
			fill(this.body, members.length ? [quorum(members), h('ul.cards', members.map(card))] : synced ? empty('No member is known.', 'kubectl get storagemembers') : empty('Waiting for the server'));
		});
	}
}

function quorum(members) {
	const {quorate, mayFail, message} = members[0].cluster;
	const kind = !quorate ? 'bad' : mayFail ? 'ok' : 'warn';
	return h('section.quorum', h('p.may', {'data-kind': kind}, h('b', number(mayFail)), ' more may fail'), h('p', state(kind, quorate ? 'Quorum' : 'No quorum'), ` ${message}`));
}
