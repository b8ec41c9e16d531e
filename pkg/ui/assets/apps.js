// Copyright The Gatehouse Authors. SPDX-License-Identifier: Apache-2.0
// Apps and their rollouts.

import {h, number, plural, state} from './dom.js';
import {condition, pathOf} from './store.js';
import {conditions, terminal, View} from './view.js';

const kinds = {Stalled: 'bad', Reconciling: 'busy', Unknown: 'off', Paused: 'skip', Ready: 'ok'};
const order = Object.keys(kinds);
const keyOf = ({metadata: {namespace, name}}) => pathOf(namespace, name);
const is = (app, type) => condition(app, type)?.status === 'True';

// stateOf is the condition for which tools wait.
const stateOf = app => ['Stalled', 'Reconciling', 'Ready'].find(type => is(app, type)) ?? (app.spec.paused ? 'Paused' : 'Unknown');
export const stalled = app => is(app, 'Stalled');
const reason = app => { const c = condition(app, stateOf(app)) ?? condition(app, 'Ready'); return [c?.reason, c?.message].filter(Boolean).join(': '); };
const numbers = ({spec, status: {replicas = 0, updatedReplicas = 0, readyReplicas = 0} = {}}) => [spec.replicas ?? 1, replicas, updatedReplicas, readyReplicas];

// rollout is a bar: full for ready instances of the new version, hatched for the other new ones, grey for old ones.
function rollout([desired, replicas, updated, ready]) {
	const fresh = Math.min(updated, ready);
	return h('span.rollout', {}, [['fresh', fresh], ['updated', updated - fresh], ['old', Math.max(0, replicas - updated)]].map(([kind, n]) => {
		const bar = h('i', {class: kind});
		bar.style.width = `${100 * n / Math.max(desired, replicas, 1)}%`;
		return bar;
	}));
}

export class AppsView extends View {
	title = 'Apps';
	kind = 'apps';
	hint = 'name, namespace, state';
	nothingHere = ['There are no apps. This makes one:', 'kubectl apply -f artifacts/examples/app.yaml'];
	columns = [
		['App', a => [keyOf(a), () => h('a', {href: this.link(keyOf(a))}, keyOf(a))]], ['Desired', a => number(numbers(a)[0]), 'number'], ['Updated', a => number(numbers(a)[2]), 'number'],
		['Ready', a => number(numbers(a)[3]), 'number'], ['Rollout', a => [numbers(a), () => rollout(numbers(a))]], ['State', a => [stateOf(a), () => state(kinds[stateOf(a)], stateOf(a))]],
		['Reason', a => stateOf(a) === 'Ready' ? '' : reason(a), 'wrap'],
	];

	items(watch) { return watch.values().sort((a, b) => order.indexOf(stateOf(a)) - order.indexOf(stateOf(b)) || (keyOf(a) < keyOf(b) ? -1 : 1)); }
	id(app) { return keyOf(app); }
	words(app) { return `${keyOf(app)} ${stateOf(app)}`; }
	summary() { return order.map(word => [this.all.filter(a => stateOf(a) === word).length, word]).filter(([n]) => n).map(pair => pair.join(' ')).join(', '); }

	detail(id) {
		const [namespace, name] = id.split('/');
		return this.follow(id, app => [h('p', {}, state(kinds[stateOf(app)], stateOf(app)), ` ${reason(app)}`), h('h3', {}, 'Conditions'), conditions(app),
			h('h3', {}, 'Template'), h('ul', {}, app.spec.template.spec.containers.map(c => h('li', {}, h('b', {}, c.name), ` ${c.image}`))),
			h('p.note', {}, `${plural(numbers(app)[0], 'instance')}, ${app.spec.strategy?.type ?? 'RollingUpdate'}${app.spec.paused ? ', paused' : ''}`)],
		terminal(`kubectl describe app ${name} -n ${namespace}`, `kubectl get releases,instances -n ${namespace}`));
	}
}
