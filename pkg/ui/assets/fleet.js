// Hosts and apps.

import {facts, fill, Grid, h, number, plural, span, state} from './dom.js';
import {condition, pathOf} from './store.js';
import {get, since} from './stream.js';
import {Tiles} from './tiles.js';
import {conditions, terminal, View} from './view.js';

const INSTANCES = 200;
const kinds = {NotReady: 'bad', Unknown: 'off', Cordoned: 'skip', Ready: 'ok'};
const order = Object.keys(kinds);
const mark = word => state(kinds[word], word);
const ready = object => condition(object, 'Ready');
export const hostState = host => ({True: host.spec?.unschedulable ? 'Cordoned' : 'Ready', False: 'NotReady'})[ready(host)?.status] ?? 'Unknown';
const byName = (a, b) => a.metadata.name < b.metadata.name ? -1 : 1;
const labels = host => Object.entries(host.metadata.labels ?? {}).map(pair => pair.join('=')).join(' ');

export class HostsView extends View {
	title = 'Hosts';
	kind = 'hosts';
	hint = 'name, label=value';
	most = 100;
	choices = Object.fromEntries(order.map(word => [word, mark(word)]));
	nothingHere = ['There are no hosts. This simulates three:', 'gatehouse up --simulate-hosts 3'];
	columns = [
		['Host', ({metadata: {name}}) => [name, () => h('a', {href: this.link(name)}, name)]], ['State', x => [hostState(x), () => mark(hostState(x))]], ['Reason', x => ready(x)?.reason ?? 'no report'],
		['Since', x => ready(x) ? span(since(ready(x).lastTransitionTime)) : '', 'n'],
		['Address', x => x.status?.addresses?.[0]?.address],
	];

	above() {
		this.tiles = new Tiles(name => this.page.go('hosts', name));
		return this.tiles.element;
	}

	// The list begins with the hosts that need attention.
	items(watch) {
		const all = watch.values().sort(byName);
		return order.flatMap(word => all.filter(x => hostState(x) === word));
	}

	update() {
		super.update();
		if (!this.tools.hidden) this.tiles.draw();
	}

	selected() { this.tiles.items = this.fit.toSorted(byName).map(x => ({name: x.metadata.name, word: hostState(x)})); }
	fits(host) { return !this.choice || hostState(host) === this.choice; }
	words(host) { return `${host.metadata.name} ${labels(host)}`; }

	summary() {
		const bad = this.all.filter(x => hostState(x) === 'NotReady').length;
		return `${this.fit.length < this.all.length ? `${number(this.fit.length)} of ` : ''}${plural(this.all.length, 'host')}, ${bad} not ready`;
	}

	open(name) {
		this.tiles.chosen = name;
		super.open(name);
	}

	detail(name) {
		const instances = h('div');
		const frame = this.follow(name, host => {
			const {capacity = {}, addresses = []} = host.status ?? {};
			return [h('p', mark(hostState(host)), ` ${addresses.map(a => a.address).join(', ')}`), h('h3', 'Conditions'), conditions(host), h('h3', 'Capacity'), facts(Object.entries(capacity))];
		}, h('h3', 'Instances'), instances, terminal(`kubectl describe host ${name}`));
		const abort = new AbortController();
		const read = () => document.hidden || get(`/apis/fleet.gatehouse.dev/v1alpha1/instances?limit=${INSTANCES}&fieldSelector=${encodeURIComponent(`spec.hostName=${name}`)}`, abort.signal)
			.then(list => fill(instances, instancesOf(list)), problem => abort.signal.aborted || fill(instances, h('p.obstacle', problem.message)));
		const timer = setInterval(read, 5000);
		read();
		return Object.assign(frame, {end: () => { abort.abort(); clearInterval(timer); }});
	}
}

const instancesOf = ({items, metadata}) => !items.length ? h('p.note', 'No instance is bound to this host.') : [new Grid('Instances', [
	['Instance', i => pathOf(i.metadata.namespace, i.metadata.name)], ['Phase', i => [i.status?.phase, i.status?.reason].filter(Boolean).join(': ')],
	['Ready', i => [1, () => ready(i)?.status === 'True' ? state('ok', 'Ready') : state('off', 'NotReady')]],
	['Restarts', i => number((i.status?.containerStatuses ?? []).reduce((sum, c) => sum + (c.restartCount ?? 0), 0)), 'n'],
], i => i.metadata.uid).set(items), metadata.continue ? h('p.note', `The first ${INSTANCES}`) : null];

const appKinds = {Stalled: 'bad', Reconciling: 'busy', Unknown: 'off', Paused: 'skip', Ready: 'ok'};
const appOrder = Object.keys(appKinds);
const keyOf = ({metadata: {namespace, name}}) => pathOf(namespace, name);
const is = (app, type) => condition(app, type)?.status === 'True';

const appState = app => ['Stalled', 'Reconciling', 'Ready'].find(type => is(app, type)) ?? (app.spec.paused ? 'Paused' : 'Unknown');
export const stalled = app => is(app, 'Stalled');
const reason = app => { const c = condition(app, appState(app)) ?? condition(app, 'Ready'); return [c?.reason, c?.message].filter(Boolean).join(': '); };

export class AppsView extends View {
	title = 'Apps';
	kind = 'apps';
	hint = 'name, namespace, state';
	nothingHere = ['There are no apps. This makes one:', 'kubectl apply -f artifacts/examples/app.yaml'];
	columns = [
		['App', a => [keyOf(a), () => h('a', {href: this.link(keyOf(a))}, keyOf(a))]], ['Desired', a => number(a.spec.replicas ?? 1), 'n'], ['Updated', a => number(a.status?.updatedReplicas), 'n'],
		['Ready', a => number(a.status?.readyReplicas), 'n'], ['State', a => [appState(a), () => state(appKinds[appState(a)], appState(a))]],
		['Reason', a => appState(a) === 'Ready' ? '' : reason(a), 'wrap'],
	];

	items(watch) { return watch.values().sort((a, b) => appOrder.indexOf(appState(a)) - appOrder.indexOf(appState(b)) || (keyOf(a) < keyOf(b) ? -1 : 1)); }
	id(app) { return keyOf(app); }
	words(app) { return `${keyOf(app)} ${appState(app)}`; }
	summary() { return appOrder.map(word => [this.all.filter(a => appState(a) === word).length, word]).filter(([n]) => n).map(pair => pair.join(' ')).join(', '); }

	detail(id) {
		const [namespace, name] = id.split('/');
		return this.follow(id, app => [h('p', state(appKinds[appState(app)], appState(app)), ` ${reason(app)}`), h('h3', 'Conditions'), conditions(app),
			h('h3', 'Images'), app.spec.template.spec.containers.map(c => h('p', c.image))],
		terminal(`kubectl describe app ${name} -n ${namespace}`, `kubectl get releases,instances -n ${namespace}`));
	}
}
