/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// What users of the JavaScript client do with a fleet: js_test.go starts the server, two
// simulated hosts and this file, with the server's kubeconfig in $KUBECONFIG.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import * as k8s from '@kubernetes/client-node';

const group = 'fleet.gatehouse.dev';
const version = 'v1alpha1';
const base = `/apis/${group}/${version}`;
// Far more than anything needs, for a machine that is busy.
const patience = 90_000;

const kc = new k8s.KubeConfig();
kc.loadFromDefault();
const core = kc.makeApiClient(k8s.CoreV1Api);
const custom = kc.makeApiClient(k8s.CustomObjectsApi);
const objects = k8s.KubernetesObjectApi.makeApiClient(kc);

const namespaces = [];
after(() => Promise.all(namespaces.map((name) => core.deleteNamespace({ name }))));

async function makeNamespace() {
  const created = await core.createNamespace({ body: { metadata: { generateName: 'js-' } } });
  namespaces.push(created.metadata.name);
  return created.metadata.name;
}

function app(name, namespace, replicas) {
  return {
    apiVersion: `${group}/${version}`,
    kind: 'App',
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: {
        metadata: { labels: { app: name } },
        spec: {
          containers: [
            { name: 'server', image: 'registry.example.com/web:1.0', resources: { requests: { cpu: '10m' } } },
            { name: 'sidecar', image: 'registry.example.com/log:1.0' },
          ],
        },
      },
    },
  };
}

const of = (namespace, plural, name) => ({ group, version, namespace, plural, ...(name && { name }) });

// watchUntil watches the path and resolves with all events as soon as done(events) holds.
function watchUntil(path, query, done) {
  return new Promise((resolve, reject) => {
    const events = [];
    let controller;
    const finish = (settle, value) => {
      clearTimeout(timer);
      settle(value); // first: abort ends the watch with an error
      controller?.abort();
    };
    const timer = setTimeout(() => finish(reject, new Error(`${path}: still waiting after ${events.length} events: ${
      JSON.stringify(events.map((event) => [event.type, event.object.metadata?.name]))}`)), patience);
    new k8s.Watch(kc).watch(path, query, (type, object) => {
      events.push({ type, object });
      if (type === 'ERROR') finish(reject, new Error(`${path}: ${JSON.stringify(object)}`));
      else if (done(events)) finish(resolve, events);
    }, (error) => finish(reject, error ?? new Error(`${path}: the server ended the watch after ${events.length} events`)))
      .then((started) => { controller = started; }, (error) => finish(reject, error));
  });
}

// bound waits until that many instances of the namespace have a host.
async function bound(namespace, count) {
  const hosts = new Map();
  await watchUntil(`${base}/namespaces/${namespace}/instances`, {}, (events) => {
    const { type, object } = events.at(-1);
    if (type === 'DELETED' || !object.spec.hostName) hosts.delete(object.metadata.name);
    else hosts.set(object.metadata.name, object.spec.hostName);
    return hosts.size === count;
  });
  return hosts;
}

async function refused(code, promise) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.code, code, String(error));
    return true;
  });
}

test('a list holds what was created, and mistakes are answered with their codes', async () => {
  const namespace = await makeNamespace();
  await custom.createNamespacedCustomObject({ ...of(namespace, 'apps'), body: app('web', namespace, 0) });
  const list = await custom.listNamespacedCustomObject(of(namespace, 'apps'));
  assert.equal(list.kind, 'AppList');
  assert.deepEqual(list.items.map((item) => item.metadata.name), ['web']);

  await refused(404, custom.getNamespacedCustomObject(of(namespace, 'apps', 'missing')));
  await refused(409, custom.createNamespacedCustomObject({ ...of(namespace, 'apps'), body: app('web', namespace, 0) }));
  const broken = app('broken', namespace, 0);
  broken.spec.selector.matchLabels = { app: 'other' };
  await refused(422, custom.createNamespacedCustomObject({ ...of(namespace, 'apps'), body: broken }));
});

test('a watch of one host without a resource version begins with its instances and follows them', async () => {
  const namespace = await makeNamespace();
  await custom.createNamespacedCustomObject({ ...of(namespace, 'apps'), body: app('spread', namespace, 4) });
  const hosts = await bound(namespace, 4);
  const [victim, host] = hosts.entries().next().value;
  const there = [...hosts].filter(([, name]) => name === host).map(([name]) => name).sort();
  const ours = (event) => event.object.metadata.namespace === namespace;

  // The instances of other tests may be on the host, too; those of other hosts may not.
  let asked = false;
  const events = await watchUntil(`${base}/instances`, { fieldSelector: `spec.hostName=${host}` }, (all) => {
    const names = new Set(all.filter(ours).map((event) => event.object.metadata.name));
    if (!asked && there.every((name) => names.has(name))) {
      asked = true;
      custom.deleteNamespacedCustomObject(of(namespace, 'instances', victim)).catch((error) => { throw error; });
    }
    return all.some((event) => event.type === 'DELETED' && event.object.metadata.name === victim);
  });
  for (const { object } of events) assert.equal(object.spec.hostName, host);
  assert.deepEqual(events.filter(ours).slice(0, there.length).map((event) => event.type), there.map(() => 'ADDED'));
});

test('each kind of patch changes what it names and nothing else', async () => {
  const namespace = await makeNamespace();
  await custom.createNamespacedCustomObject({ ...of(namespace, 'apps'), body: app('web', namespace, 0) });
  const patch = (body, strategy) => custom.patchNamespacedCustomObject(
    { ...of(namespace, 'apps', 'web'), body, fieldManager: 'js' }, k8s.setHeaderOptions('Content-Type', strategy));

  let stored = await patch({ spec: { minReadySeconds: 1 } }, k8s.PatchStrategy.MergePatch);
  assert.equal(stored.spec.minReadySeconds, 1);
  stored = await patch([{ op: 'replace', path: '/spec/minReadySeconds', value: 2 }], k8s.PatchStrategy.JsonPatch);
  assert.equal(stored.spec.minReadySeconds, 2);
  stored = await patch({ spec: { template: { spec: { containers: [{ name: 'server', image: 'registry.example.com/web:2.0' }] } } } },
    k8s.PatchStrategy.StrategicMergePatch);
  assert.deepEqual(stored.spec.template.spec.containers.map((container) => container.image),
    ['registry.example.com/web:2.0', 'registry.example.com/log:1.0']);

  const applied = app('web', namespace, 0);
  applied.spec.minReadySeconds = 3;
  stored = await objects.patch(applied, undefined, undefined, 'js-apply', true, k8s.PatchStrategy.ServerSideApply);
  assert.equal(stored.spec.minReadySeconds, 3);
  assert.ok(stored.metadata.managedFields.some((entry) => entry.manager === 'js-apply' && entry.operation === 'Apply'));
});

test('the scale of an app is read and written', async () => {
  const namespace = await makeNamespace();
  await custom.createNamespacedCustomObject({ ...of(namespace, 'apps'), body: app('web', namespace, 0) });
  const scale = await custom.patchNamespacedCustomObjectScale({ ...of(namespace, 'apps', 'web'), body: { spec: { replicas: 2 } } },
    k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch));
  assert.equal(scale.spec.replicas, 2);
  assert.equal((await bound(namespace, 2)).size, 2);
});

test('an informer tells of every app that comes, changes and goes', async () => {
  const namespace = await makeNamespace();
  const path = `${base}/namespaces/${namespace}/apps`;
  await custom.createNamespacedCustomObject({ ...of(namespace, 'apps'), body: app('early', namespace, 0) });
  const informer = k8s.makeInformer(kc, path, () => custom.listNamespacedCustomObject(of(namespace, 'apps')));
  const seen = [];
  const waiting = [];
  const note = (verb) => (object) => {
    seen.push(`${verb} ${object.metadata.name}`);
    for (const check of waiting) check();
  };
  for (const verb of ['add', 'update', 'delete']) informer.on(verb, note(verb));
  const saw = (wanted) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no "${wanted}" among ${JSON.stringify(seen)}`)), patience);
    const check = () => { if (seen.includes(wanted)) { clearTimeout(timer); resolve(); } };
    waiting.push(check);
    check();
  });
  informer.on('error', (error) => seen.push(`error ${error}`));
  await informer.start();
  try {
    await saw('add early');
    await custom.createNamespacedCustomObject({ ...of(namespace, 'apps'), body: app('late', namespace, 0) });
    await saw('add late');
    await custom.patchNamespacedCustomObject({ ...of(namespace, 'apps', 'early'), body: { metadata: { labels: { new: 'yes' } } } },
      k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch));
    await saw('update early');
    await custom.deleteNamespacedCustomObject(of(namespace, 'apps', 'late'));
    await saw('delete late');
    assert.deepEqual(informer.list().map((object) => object.metadata.name), ['early']);
    assert.deepEqual(seen.filter((line) => line.startsWith('error')), []);
  } finally {
    await informer.stop();
  }
});

test('an app says Ready when its instances run', async () => {
  const namespace = await makeNamespace();
  await custom.createNamespacedCustomObject({ ...of(namespace, 'apps'), body: app('web', namespace, 2) });
  await watchUntil(`${base}/namespaces/${namespace}/apps`, { fieldSelector: 'metadata.name=web' }, (events) => {
    const { status } = events.at(-1).object;
    const ready = status?.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True';
    if (ready) assert.equal(status.readyReplicas, 2);
    return ready;
  });
});
