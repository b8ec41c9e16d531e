// SPDX-License-Identifier: Apache-2.0
// The page: session, views, connection.

import {button, command, empty, fill, h, number, once, state, text} from './view.js';
import {collectionAt, now, request, store, Stream} from './data.js';
import {GatesView, RefusalsView} from './requests.js';
import {blocked, ill, StorageView, WatchesView} from './server.js';
import {AppsView, hostState, HostsView, stalled} from './fleet.js';

const UPDATE = 250; // milliseconds between two updates of a view
const HIDDEN = 30000; // after which a hidden page gives its connection back

const at = id => document.getElementById(id);
const tabs = () => document.querySelectorAll('nav a');
const views = Object.fromEntries([GatesView, RefusalsView, WatchesView, StorageView, HostsView, AppsView].map(View => new View()).map(view => [view.title.toLowerCase(), view]));
const count = (kind, fits) => store[kind].values().filter(fits).length;
const badges = {
	refusals: () => store.traces.refused.length, watches: () => count('sessions', blocked), storage: () => count('members', ill),
	hosts: () => count('hosts', host => hostState(host) === 'NotReady'), apps: () => count('apps', stalled),
};
const passing = problem => Boolean(problem) && (!problem.code || problem.code === 429 || problem.code >= 500);

const page = {
	wanted: new Set(['traces', 'members']),
	condition: 'new',
	stream: new Stream({
		row(path, row) {
			collectionAt(path).row(row);
			page.changed();
		},
		opened() {
			page.condition = 'live';
			if (!page.known) page.whoami();
		},
		closed(delay, problem) {
			Object.assign(page, {condition: 'away', known: false, problem, retryAt: Date.now() + delay});
			page.changed();
		},
		ended: problem => page.over(problem),
	}),

	async begin() {
		addEventListener('hashchange', page.route);
		const secret = /^#secret=(.+)/.exec(location.hash);
		if (secret) {
			history.replaceState(null, '', '#gates');
			const session = {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({secret: decodeURIComponent(secret[1])})};
			const problem = await request('/ui/session', session).then(() => null, error => error);
			if (problem) return page.over(problem);
		}
		fill(at('tabs'), Object.keys(views).map(name => h('li', h('a', {href: `#${name}`}, views[name].title, h('span.badge', {hidden: ''})))));
		document.addEventListener('visibilitychange', page.visibility);
		page.timer = setInterval(page.changed, 1000);
		page.route();
	},

	async whoami() {
		page.known = true;
		const {user, server, version} = await request('/ui/whoami').then(r => r.json()).catch(() => { page.known = false; return {}; });
		if (user) text(at('where'), [server.replace(/^https?:\/\//, ''), `as ${user}`, version].join(' '));
	},

	go(name, rest) { location.hash = rest ? `${name}/${rest}` : name; },

	route() {
		if (location.hash.startsWith('#secret=')) return location.reload();
		if (page.ended || location.hash === '#main') return;
		const [name, ...rest] = decodeURIComponent(location.hash.slice(1)).split('/');
		if (!Object.hasOwn(views, name)) return page.go('gates');
		if (name !== page.name) page.show(name);
		page.view.open(rest.join('/'));
	},

	show(name) {
		page.view?.end();
		const view = page.view = views[page.name = name];
		document.title = `${view.title} – Gatehouse`;
		for (const link of tabs()) link.setAttribute('aria-current', link.hash === `#${name}` ? 'page' : 'false');
		page.wanted.add(view.kind);
		page.stream.follow([...page.wanted].map(kind => store[kind].path));
		view.begin(page);
		page.update();
	},

	changed() {
		page.pending ??= document.hidden || page.ended ? null : setTimeout(page.update, UPDATE);
	},

	update() {
		clearTimeout(page.pending);
		page.pending = null;
		if (page.ended) return;
		const collection = store[page.view.kind];
		const {problem} = collection;
		const refused = problem && !passing(problem);
		once(at('main'), `${page.name} ${refused && problem.message}`, () => fill(at('main'), refused ? [h('h1', {tabindex: -1}, page.view.title), hindrance(collection, problem)] : page.view.element));
		if (!refused) page.view.update();
		for (const link of tabs()) {
			const n = badges[link.hash.slice(1)]?.();
			link.lastChild.hidden = !n;
			text(link.lastChild, number(n));
		}
		page.status();
	},

	status() {
		const lost = page.condition === 'live' && [...page.wanted].map(kind => store[kind].problem).find(passing);
		const condition = lost ? 'lost' : page.condition;
		const away = condition === 'away';
		once(at('live'), condition, () => fill(at('live'), state(...{away: ['bad', 'Disconnected'], lost: ['warn', 'Server gone'], live: ['ok', 'Live'], new: ['busy', 'Connecting']}[condition]), h('time')));
		if (condition === 'live') text(at('live').lastChild, `${new Date(now()).toISOString().slice(11, 19)} UTC`);
		at('banner').hidden = !away && !lost;
		if (!away && !lost) return;
		once(at('banner'), condition, () => fill(at('banner'), state('warn', away ? 'There is no connection.' : 'The API server does not respond.'), h('p'), h('p.note'),
			away && button('Retry now', () => page.stream.start())));
		const [, why, wait] = at('banner').children;
		text(why, (lost || page.problem)?.message);
		text(wait, `The page shows what it read last. ${away ? `Next attempt in ${Math.max(0, Math.ceil((page.retryAt - Date.now()) / 1000))} s.` : ''}`);
	},

	over(problem) {
		page.ended = true;
		page.stream.stop();
		clearInterval(page.timer);
		page.view?.end();
		at('banner').hidden = true;
		fill(at('live'), state('off', 'No session'));
		const heading = h('h1', {tabindex: -1}, 'This link was used, or has expired');
		fill(at('main'), h('div.empty', heading, h('p', 'This makes a new link:'), command(`kubectl gatehouse ui${location.protocol === 'https:' ? ' --on-server' : ''}`), h('p.note', problem.message)));
		heading.focus();
	},

	visibility() {
		clearTimeout(page.hiding);
		if (page.ended) return;
		if (document.hidden) page.hiding = setTimeout(() => page.stream.stop(), HIDDEN);
		else page.show(page.name);
	},
};

function hindrance({group, resource}, {code, message}) {
	const name = `${resource}.${group}`;
	const verb = /cannot (\w+) resource/.exec(message)?.[1] ?? 'list';
	return code === 403 ? empty(`No access: this view needs the verb ${verb} on ${name}. Check it:`, `kubectl auth can-i ${verb} ${name}`)
		: empty(code === 404 ? `The server does not serve ${name}.` : message, `kubectl get ${name}`);
}

page.begin();
