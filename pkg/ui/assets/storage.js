// Copyright The Gatehouse Authors. SPDX-License-Identifier: Apache-2.0
// The members of etcd: votes, sizes, alarms, and the speed of their disks.

import {bytes, duration, empty, facts, fill, goDuration, h, number, once, plural, span, state} from './dom.js';
import {since} from './stream.js';
import {store} from './store.js';

const SLOW = 50; // milliseconds of fsync
const FULL = 0.8; // of the quota

const name = m => m.memberName || m.metadata.name;
const health = m => state({Healthy: 'ok', Unhealthy: 'warn'}[m.health] ?? 'bad', m.health);
export const ill = m => m.health !== 'Healthy' || m.alarms?.length > 0;

function fsync({fsync: f, fsyncUnavailable}) {
	if (!f) return `unknown${fsyncUnavailable ? `: ${fsyncUnavailable}` : ''}`;
	return [duration(goDuration(f.p99)), goDuration(f.p99) > SLOW ? [' ', state('warn', 'slow')] : '', ` in ${plural(f.count, 'write')}`, f.window ? ` of ${span(goDuration(f.window) / 1000)}` : ''];
}

function card(m) {
	const used = m.quotaBytes ? m.dbSizeBytes / m.quotaBytes : 0;
	const fill = h('i', {class: used > FULL ? 'full' : ''});
	fill.style.width = `${Math.min(100, 100 * used)}%`;
	return h('li.card', {}, h('header', {}, h('h2', {}, name(m)), h('span', {}, health(m), (m.alarms ?? []).map(alarm => [' ', state('bad', `Alarm ${alarm}`)]))), m.error && h('p.obstacle', {}, m.error),
		facts([['Role', m.role], ['Last response', m.lastSeenTime ? `${span(since(m.lastSeenTime))} ago${m.roundTrip ? `, within ${duration(goDuration(m.roundTrip))}` : ''}` : 'never'],
			['Behind', m.behind == null ? 'unknown' : plural(m.behind, 'entry', 'entries')], ['fsync p99', fsync(m)],
			['Database', m.dbSizeBytes ? `${bytes(m.dbSizeBytes)}, ${bytes(m.dbSizeInUseBytes)} in use` : 'unknown'],
			['Quota', m.quotaBytes ? [`${bytes(m.quotaBytes)}, ${(100 * used).toFixed(1)} % full `, used > FULL ? state('warn', 'nearly full') : ''] : 'unknown'],
			['Version', m.version && `etcd ${m.version}`], ['Address', m.clientURLs?.join(', ')]]), h('div.meter', {}, fill));
}

export class StorageView {
	title = 'Storage';
	kind = 'members';
	element = h('div', {}, h('div.title', {}, h('h1', {tabindex: -1}, 'Storage'), h('p.note', {}, 'The members of etcd')), this.body = h('div'));

	begin() {}
	end() {}
	open() {}

	update() {
		const {version, synced, items} = store.members;
		if (!synced && items.size) return;
		once(this.body, `${version} ${Math.floor(Date.now() / 1000)}`, () => {
			const members = store.members.values().sort((a, b) => name(a) < name(b) ? -1 : 1);
			fill(this.body, members.length ? [quorum(members), h('ul.cards', {}, members.map(card))] : synced ? empty('The server has not read the members of etcd yet.', 'kubectl get storagemembers') : empty('Waiting for the server'));
		});
	}
}

function quorum(members) {
	const {quorate, mayFail, healthyVoters, voters, quorum: needed, message} = members[0].cluster;
	const kind = !quorate ? 'bad' : mayFail ? 'ok' : 'warn';
	return h('section.quorum', {}, h('p.may', {'data-kind': kind}, h('b', {}, number(mayFail)), ' more may fail'), h('div', {},
		h('p', {}, state(kind, quorate ? 'Quorum' : 'No quorum'), ` ${healthyVoters} of ${plural(voters, 'voter')} healthy, ${needed} needed`),
		h('ul.votes', {}, members.filter(m => m.role !== 'Learner').map(m => h('li', {}, health(m), ` ${name(m)}`))), h('p.note', {}, message)));
}
