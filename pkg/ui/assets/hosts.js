// Copyright The Gatehouse Authors. SPDX-License-Identifier: Apache-2.0
// Hosts as tiles and as a list, and one host with its instances.

import {facts, fill, Grid, h, number, plural, span, state} from './dom.js';
import {get, since} from './stream.js';
import {condition, pathOf} from './store.js';
import {Tiles} from './tiles.js';
import {conditions, terminal, View} from './view.js';

const INSTANCES = 200;
const states = {NotReady: ['bad', 'Not ready'], Unknown: ['off', 'Unknown'], Cordoned: ['skip', 'Cordoned'], Ready: ['ok', 'Ready']};
const order = Object.keys(states);
const ready = object => condition(object, 'Ready');
export const stateOf = host => ({True: host.spec?.unschedulable ? 'Cordoned' : 'Ready', False: 'NotReady'})[ready(host)?.status] ?? 'Unknown';
const labels = host => Object.entries(host.metadata.labels ?? {}).map(pair => pair.join('=')).join(' ');

export class HostsView extends View {
	title = 'Hosts';
	kind = 'hosts';
	hint = 'name, label=value';
	most = 100;
	choices = Object.fromEntries(order.map(word => [word, state(...states[word])]));
	nothingHere = ['There are no hosts. This starts a server with three simulated ones:', 'gatehouse up --simulate-hosts 3'];
	columns = [
		['Host', ({metadata: {name}}) => [name, () => h('a', {href: this.link(name)}, name)]], ['State', x => [stateOf(x), () => state(...states[stateOf(x)])]], ['Reason', x => ready(x)?.reason ?? 'no report'],
		['Since', x => ready(x) ? span(since(ready(x).lastTransitionTime)) : '', 'number'], ['CPU', x => x.status?.capacity?.cpu, 'number'], ['Memory', x => x.status?.capacity?.memory, 'number'],
		['Address', x => x.status?.addresses?.[0]?.address],
	];

	above() {
		this.tiles = new Tiles(name => this.page.go('hosts', name), word => states[word][1].toLowerCase());
		return this.tiles.element;
	}

	// The list begins with the hosts that need attention; the tiles are in the order of names.
	items(watch) {
		const all = watch.values().sort((a, b) => a.metadata.name < b.metadata.name ? -1 : 1);
		return order.flatMap(word => all.filter(x => stateOf(x) === word));
	}

	selected() { this.tiles.set(this.fit.map(x => ({name: x.metadata.name, word: stateOf(x)})).sort((a, b) => a.name < b.name ? -1 : 1)); }
	fits(host) { return !this.choice || stateOf(host) === this.choice; }
	words(host) { return `${host.metadata.name} ${labels(host)}`; }

	summary() {
		const counts = order.map(word => `${number(this.all.filter(x => stateOf(x) === word).length)} ${states[word][1].toLowerCase()}`).join(', ');
		return `${this.fit.length < this.all.length ? `${number(this.fit.length)} of ` : ''}${plural(this.all.length, 'host')}: ${counts}`;
	}

	open(name) {
		super.open(name);
		this.tiles.choose(name);
	}

	detail(name) {
		const instances = h('div', {}, h('p.note', {}, 'Reading the instances'));
		const frame = this.follow(name, host => {
			const {capacity = {}, allocatable = {}, addresses = []} = host.status ?? {};
			return [h('p', {}, state(...states[stateOf(host)]), ` ${addresses.map(a => a.address).join(', ')}`), h('h3', {}, 'Conditions'), conditions(host),
				h('h3', {}, 'Resources for instances'), facts(Object.keys(capacity).map(r => [r, `${allocatable[r] ?? capacity[r]} of ${capacity[r]}`])),
				host.spec?.taints?.length ? [h('h3', {}, 'Taints'), h('ul', {}, host.spec.taints.map(t => h('li', {}, `${t.key}${t.value ? `=${t.value}` : ''}:${t.effect}`)))] : null];
		}, h('h3', {}, 'Instances'), instances, terminal(`kubectl describe host ${name}`));
		const abort = new AbortController();
		const read = () => document.hidden || get(`/apis/fleet.gatehouse.dev/v1alpha1/instances?limit=${INSTANCES}&fieldSelector=${encodeURIComponent(`spec.hostName=${name}`)}`, abort.signal)
			.then(list => fill(instances, instancesOf(list)), problem => abort.signal.aborted || fill(instances, h('p.obstacle', {}, problem.message)));
		const timer = setInterval(read, 5000);
		read();
		return Object.assign(frame, {end: () => { abort.abort(); clearInterval(timer); }});
	}
}

const instancesOf = ({items, metadata}) => !items.length ? h('p.note', {}, 'No instance is bound to this host.') : [new Grid('Instances', [
	['Instance', i => pathOf(i.metadata.namespace, i.metadata.name)], ['Phase', i => [i.status?.phase, i.status?.reason].filter(Boolean).join(': ')],
	['Ready', i => [1, () => ready(i)?.status === 'True' ? state('ok', 'Ready') : state('off', 'Not ready')]],
	['Restarts', i => number((i.status?.containerStatuses ?? []).reduce((sum, c) => sum + (c.restartCount ?? 0), 0)), 'number'],
], i => i.metadata.uid).set(items).element, metadata.continue ? h('p.note', {}, `The first ${INSTANCES}`) : null];
