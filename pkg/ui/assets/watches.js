// Copyright The Gatehouse Authors. SPDX-License-Identifier: Apache-2.0
// Watches: the blocked ones first, then those that ended because the client was too slow.

import {bytes, clean, duration, goDuration, number, span, state} from './dom.js';
import {now, since} from './stream.js';
import {pathOf, resourceOf} from './store.js';
import {View} from './view.js';

const open = s => s.state === 'Open';
const slow = s => /^(ClientBlocked|TooSlow|Error)$/.test(s.end?.reason);
export const blocked = s => open(s) && Boolean(s.blockedSince);
const rank = s => blocked(s) ? 1e15 + now() - Date.parse(s.blockedSince) : slow(s) ? Date.parse(s.end.time) : goDuration(s.longestBlocked);
const what = ({request: r = {}}) => [resourceOf(r), pathOf(r.namespace, r.name), r.labelSelector && `[${r.labelSelector}]`, r.fieldSelector && `[${r.fieldSelector}]`].filter(Boolean).join(' ');
const client = ({user = {}}) => [clean(user.userAgent).split(' ')[0], user.sourceIP].filter(Boolean).join(' from ');

export class WatchesView extends View {
	title = 'Watches';
	kind = 'sessions';
	hint = 'user, resource, client';
	choices = {ended: 'With ended ones'};
	nothingHere = ['The server serves no watch. This opens one:', 'kubectl get namespaces --watch'];
	columns = [
		['State', s => [s.state + blocked(s), () => open(s) ? blocked(s) ? state('bad', 'Blocked') : state('ok', 'Flowing') : state(slow(s) ? 'warn' : 'skip', `Ended: ${s.end?.reason}`)]],
		['User', s => s.user?.username], ['Watches', what, 'wrap'], ['Blocked', s => blocked(s) ? duration(1000 * since(s.blockedSince)) : '', 'number'],
		['Longest', s => s.longestBlocked ? duration(goDuration(s.longestBlocked)) : '', 'number'], ['Events', s => number(s.events), 'number'], ['Bytes', s => bytes(s.bytes), 'number'],
		['Open for', s => span(s.end ? goDuration(s.end.duration) / 1000 : since(s.startTime)), 'number'], ['Served from', s => s.servedFrom], ['Client', client],
	];

	items(watch) { return watch.values().map(s => [rank(s), s]).sort((a, b) => b[0] - a[0]).map(pair => pair[1]); }
	fits(s) { return this.choice || open(s) || slow(s); }
	words(s) { return `${s.user?.username} ${what(s)} ${client(s)}`; }
	style(s) { return blocked(s) ? 'decided' : ''; }
	summary() { return `${number(this.all.filter(open).length)} open, ${number(this.all.filter(blocked).length)} blocked`; }
}
