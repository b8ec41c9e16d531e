# Copyright The Gatehouse Authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What users of the Python client do with a fleet.

python_test.go starts the server, two simulated hosts and this file, with the server's
kubeconfig in $KUBECONFIG. It keeps to what release 22 of the client knows, Debian's.
"""

import json
import time
import unittest

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException

GROUP, VERSION = "fleet.gatehouse.dev", "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
# Far more than anything needs, for a machine that is busy. In seconds.
PATIENCE = 90


def app(name, replicas):
    return {
        "apiVersion": API_VERSION,
        "kind": "App",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "containers": [
                        {"name": "server", "image": "registry.example.com/web:1.0"},
                        {"name": "sidecar", "image": "registry.example.com/log:1.0"},
                    ]
                },
            },
        },
    }


class FleetTest(unittest.TestCase):
    def setUp(self):
        config.load_kube_config()
        self.core = client.CoreV1Api()
        self.custom = client.CustomObjectsApi()
        self.namespace = self.core.create_namespace({"metadata": {"generateName": "python-"}}).metadata.name
        self.addCleanup(self.core.delete_namespace, self.namespace)

    def kind(self, name):
        return dynamic.DynamicClient(client.ApiClient()).resources.get(api_version=API_VERSION, kind=name)

    def events(self, done, resource="instances", namespaced=True, **query):
        """Watches and returns all events as soon as done(events) holds."""
        events = []
        if namespaced:
            call, where = self.custom.list_namespaced_custom_object, (GROUP, VERSION, self.namespace, resource)
        else:
            call, where = self.custom.list_cluster_custom_object, (GROUP, VERSION, resource)
        deadline = time.monotonic() + PATIENCE
        for event in watch.Watch().stream(call, *where, timeout_seconds=PATIENCE, **query):
            events.append(event)
            if done(events):
                return events
            if time.monotonic() > deadline:
                break
        self.fail(f"the watch of {resource} ended after {[(e['type'], e['object']['metadata']['name']) for e in events]}")

    def bound(self, count):
        """Waits until that many instances have a host, and returns their hosts by their names."""
        hosts = {}

        def done(events):
            event = events[-1]
            name, host = event["object"]["metadata"]["name"], event["object"]["spec"].get("hostName")
            if event["type"] == "DELETED" or not host:
                hosts.pop(name, None)
            else:
                hosts[name] = host
            return len(hosts) == count

        self.events(done)
        return hosts

    def refused(self, code, call, *args, **kwargs):
        with self.assertRaises(ApiException) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.status, code, caught.exception.body)

    def test_custom_objects_are_created_listed_patched_and_refused(self):
        where = (GROUP, VERSION, self.namespace, "apps")
        self.custom.create_namespaced_custom_object(*where, app("web", 0))
        items = self.custom.list_namespaced_custom_object(*where)["items"]
        self.assertEqual([item["metadata"]["name"] for item in items], ["web"])
        stored = self.custom.patch_namespaced_custom_object(*where, "web", {"spec": {"minReadySeconds": 2}})
        self.assertEqual(stored["spec"]["minReadySeconds"], 2)
        self.refused(404, self.custom.get_namespaced_custom_object, *where, "missing")
        self.refused(409, self.custom.create_namespaced_custom_object, *where, app("web", 0))
        broken = app("broken", 0)
        broken["spec"]["selector"]["matchLabels"] = {"app": "other"}
        self.refused(422, self.custom.create_namespaced_custom_object, *where, broken)

    def test_the_dynamic_client_discovers_the_kinds_and_applies(self):
        apps = self.kind("App")
        self.assertTrue(apps.namespaced)
        self.assertFalse(self.kind("Host").namespaced)
        apps.create(body=app("web", 0), namespace=self.namespace)
        applied = app("web", 0)
        applied["spec"]["minReadySeconds"] = 3
        # Release 22 sends this content type as text only.
        stored = apps.server_side_apply(
            body=json.dumps(applied), name="web", namespace=self.namespace, field_manager="python", force_conflicts=True
        )
        self.assertEqual(stored.spec.minReadySeconds, 3)
        image = {"spec": {"template": {"spec": {"containers": [{"name": "server", "image": "registry.example.com/web:2.0"}]}}}}
        stored = apps.patch(
            body=image, name="web", namespace=self.namespace, content_type="application/strategic-merge-patch+json"
        )
        self.assertEqual(
            [container.image for container in stored.spec.template.spec.containers],
            ["registry.example.com/web:2.0", "registry.example.com/log:1.0"],
        )
        apps.delete(name="web", namespace=self.namespace)

    def test_the_dynamic_client_watches(self):
        apps = self.kind("App")
        apps.create(body=app("web", 0), namespace=self.namespace)
        seen = []
        for event in apps.watch(namespace=self.namespace, timeout=PATIENCE):
            seen.append((event["type"], event["object"].metadata.name))
            if len(seen) == 1:
                apps.delete(name="web", namespace=self.namespace)
            if event["type"] == "DELETED":
                break
        self.assertEqual(seen[0], ("ADDED", "web"))
        self.assertEqual(seen[-1], ("DELETED", "web"))

    def test_a_watch_of_one_host_without_a_resource_version_begins_with_its_instances_and_follows_them(self):
        self.custom.create_namespaced_custom_object(GROUP, VERSION, self.namespace, "apps", app("spread", 4))
        hosts = self.bound(4)
        victim, host = next(iter(hosts.items()))
        there = {name for name, where in hosts.items() if where == host}
        asked = []

        def ours(events):
            return [event for event in events if event["object"]["metadata"]["namespace"] == self.namespace]

        def done(events):
            names = {event["object"]["metadata"]["name"] for event in ours(events)}
            if not asked and there <= names:
                asked.append(victim)
                self.custom.delete_namespaced_custom_object(GROUP, VERSION, self.namespace, "instances", victim)
            return any(e["type"] == "DELETED" and e["object"]["metadata"]["name"] == victim for e in events)

        events = self.events(done, namespaced=False, field_selector=f"spec.hostName={host}")
        self.assertEqual({event["object"]["spec"]["hostName"] for event in events}, {host})
        self.assertEqual([event["type"] for event in ours(events)[: len(there)]], ["ADDED"] * len(there))

    def test_the_scale_of_an_app_is_written(self):
        self.custom.create_namespaced_custom_object(GROUP, VERSION, self.namespace, "apps", app("web", 0))
        scale = self.custom.patch_namespaced_custom_object_scale(
            GROUP, VERSION, self.namespace, "apps", "web", {"spec": {"replicas": 2}}
        )
        self.assertEqual(scale["spec"]["replicas"], 2)
        self.assertEqual(len(self.bound(2)), 2)

    def test_an_app_says_ready_when_its_instances_run(self):
        self.custom.create_namespaced_custom_object(GROUP, VERSION, self.namespace, "apps", app("web", 2))

        def ready(events):
            status = events[-1]["object"].get("status", {})
            return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))

        events = self.events(ready, resource="apps")
        self.assertEqual(events[-1]["object"]["status"]["readyReplicas"], 2)


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # the client leaves connections to the collector
