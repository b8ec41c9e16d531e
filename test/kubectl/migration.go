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

package kubectl

func migration(s *scene) {
	const wanted = `
apiVersion: storagemigration.k8s.io/v1
kind: StorageVersionMigration
metadata: {name: $ID}
spec: {resource: {group: coordination.k8s.io, resource: leases}}
`
	s.pipe(wanted, "apply -f -").prints("storageversionmigration.storagemigration.k8s.io/$ID created")
	s.kubectl("wait --for=condition=Succeeded --timeout=60s storageversionmigration/$ID").prints("storageversionmigration.storagemigration.k8s.io/$ID condition met")
	s.kubectl("wait --for=condition=Running=false --timeout=60s storageversionmigration/$ID").prints("storageversionmigration.storagemigration.k8s.io/$ID condition met")
	s.pipe(wanted, "apply -f -").prints("storageversionmigration.storagemigration.k8s.io/$ID unchanged")
	s.kubectl("get storageversionmigration $ID").table("NAME | RESOURCE | STATUS", "$ID | leases.coordination.k8s.io | Succeeded")
	s.kubectl("describe storageversionmigration $ID").shows("Name:", "$ID", "MigrationCompleted", "StorageVersionMigrationSucceeded")
	s.kubectl("explain storageversionmigration.spec.resource").shows("FIELD: resource", "The resource that is being migrated")
	s.kubectl("patch storageversionmigration $ID --type=merge -p", `{"spec":{"resource":{"resource":"roles"}}}`).complains(`The StorageVersionMigration "$ID" is invalid: spec: Invalid value: `, "cannot be changed: create another migration")
	s.kubectl("delete storageversionmigration $ID").warns("Warning: deleting cluster-scoped resources, not scoped to the provided namespace",
		`storageversionmigration.storagemigration.k8s.io "$ID" deleted`)
}
