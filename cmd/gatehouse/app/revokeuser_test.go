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

package app

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// gatehouse runs a command line and returns its outputs.
func gatehouse(t *testing.T, args ...string) (out, notes string, err error) {
	t.Helper()
	cmd := NewCommand()
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

// addUser adds a user and returns a client with the new kubeconfig.
func addUser(t *testing.T, dataDir, name string, args ...string) (client *kubernetes.Clientset, notes string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	_, notes, err := gatehouse(t, append([]string{"user", "add", name, "--data-dir", dataDir, "--out", path}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	client, err = kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, notes
}

// startWithDevelopers starts a server in which the group developers administers namespaces.
func startWithDevelopers(t *testing.T) (dataDir string, admin *rest.Config) {
	t.Helper()
	o, _, _ := startStandaloneBy(t, Run)
	admin, err := clientcmd.BuildConfigFromFlags("", o.KubeconfigFile())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kubernetes.NewForConfigOrDie(admin).RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "developers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "developers"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return o.DataDir, admin
}

// listMaps makes a request as a user.
func listMaps(ctx context.Context, client *kubernetes.Clientset) error {
	_, err := client.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
	return err
}

func TestARevokedUserIsRefusedAndItsWatchEnds(t *testing.T) {
	dataDir, _ := startWithDevelopers(t)
	jane, warned := addUser(t, dataDir, "jane", "--group", "developers")
	other, unwarned := addUser(t, dataDir, "bob", "--group", "developers", "--ttl", "24h")
	if !strings.Contains(warned, "valid for more than a day") || strings.Contains(unwarned, "warning") {
		t.Errorf("the notes about a year and a day are %q and %q", warned, unwarned)
	}
	kit.Eventually(t, "the role is in force", func(ctx context.Context) bool { return listMaps(ctx, jane) == nil })
	list, err := jane.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watched, err := jane.CoreV1().Secrets("default").Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watched.Stop)
	if _, notes, err := gatehouse(t, "user", "revoke", "jane", "--data-dir", dataDir); err != nil || !strings.Contains(notes, "is refused within 5s") {
		t.Fatalf("revoking: %q, %v", notes, err)
	}
	ends(t, watched)
	if err := listMaps(t.Context(), jane); !apierrors.IsUnauthorized(err) {
		t.Errorf("the revoked certificate: %v", err)
	}
	if err := listMaps(t.Context(), other); err != nil {
		t.Errorf("the certificate of another user: %v", err)
	}
	again, _ := addUser(t, dataDir, "jane", "--group", "developers")
	if err := listMaps(t.Context(), again); err != nil {
		t.Errorf("a new certificate of the user: %v", err)
	}

}

func TestTheStatusOfCertificatesHasTheirExpiryAndRevocation(t *testing.T) {
	dataDir, admin := startWithDevelopers(t)
	addUser(t, dataDir, "jane")
	if _, _, err := gatehouse(t, "user", "revoke", "jane", "--data-dir", dataDir); err != nil {
		t.Fatal(err)
	}
	addUser(t, dataDir, "jane")
	bob, _ := addUser(t, dataDir, "bob", "--group", "developers", "--ttl", "24h")
	out, notes, err := gatehouse(t, "certificates", "status", "--data-dir", dataDir)
	if err != nil || notes != "" {
		t.Fatalf("%q, %v", notes, err)
	}
	states := map[string]int{}
	var serial string
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		state := fields[len(fields)-2]
		states[fields[0]+" "+fields[1]+" "+state]++
		if fields[1] == "bob" {
			serial = fields[len(fields)-1]
		}
	}
	for row, count := range map[string]int{"client jane Revoked": 1, "client jane Valid": 1, "client bob Valid": 1, "admin gatehouse-admin Valid": 1, "serving gatehouse Valid": 1} {
		if states[row] != count {
			t.Errorf("%d rows are %q, want %d:\n%s", states[row], row, count, out)
		}
	}
	if _, _, err := gatehouse(t, "user", "revoke", "--serial", strings.ToUpper(serial), "--data-dir", dataDir); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the revocation by serial number is in force", func(ctx context.Context) bool { return apierrors.IsUnauthorized(listMaps(ctx, bob)) })
	if !metrics.Scrape(t, admin).Has("gatehouse_certificate_expiration_timestamp_seconds", metrics.Labels{"kind": "admin", "name": "gatehouse-admin"}) {
		t.Error("the expiry of the administrator's certificate is not in the metrics")
	}
}

func TestMistakesInARevocationOfAUserAreNamed(t *testing.T) {
	dir := dataDir(t)
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"no user", nil, "a user's NAME or --serial is required"},
		{"two users", []string{"jane", "bob"}, "one NAME can be given, not 2"},
		{"a user without a certificate", []string{"jane"}, `no valid certificate of user "jane" is recorded in`},
		{"a serial number that is none", []string{"--serial", "jane"}, "--serial=jane is not a serial number: write hexadecimal digits"},
		{"a serial number of zero", []string{"--serial", "0"}, "--serial=0 is not a serial number"},
		{"a server that is not reached", []string{"--serial", "0A:FF"}, "the revocation cannot be written to ConfigMap kube-system/gatehouse-revoked-hosts"},
		{"a kubeconfig that does not exist", []string{"--serial", "ff", "--kubeconfig", filepath.Join(dir, "none")}, "--kubeconfig="},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := gatehouse(t, append([]string{"user", "revoke", "--data-dir", dir}, test.args...)...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if _, _, err := gatehouse(t, "certificates", "status", "--data-dir", t.TempDir()); err == nil || !strings.Contains(err.Error(), "start the server once to create them") {
		t.Errorf("the status of an empty directory: %v", err)
	}
	out, notes, err := gatehouse(t, "certificates", "status", "--data-dir", dir)
	if err != nil || !strings.Contains(notes, "Revocations are not shown") || strings.Count(out, "\n") != 4 {
		t.Errorf("the status without a server: %q, %q, %v", out, notes, err)
	}
}

// The group developers has the role admin, which includes edit, in every namespace.
func TestARevocationIsLiftedOnlyWithTheRightToRevoke(t *testing.T) {
	dataDir, admin := startWithDevelopers(t)
	jane, _ := addUser(t, dataDir, "jane", "--group", "developers")
	bob, _ := addUser(t, dataDir, "bob", "--group", "developers")
	for what, client := range map[string]*kubernetes.Clientset{"jane": jane, "bob": bob} {
		kit.Eventually(t, "the role is in force for "+what, func(ctx context.Context) bool { return listMaps(ctx, client) == nil })
	}
	system, none := bob.CoreV1().ConfigMaps(revocation.Namespace), metav1.DeleteOptions{}
	list := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: revocation.ConfigMap}, Data: map[string]string{"edge-1": "x"}}
	patch := func(kind types.PatchType, body string, options metav1.PatchOptions) error {
		_, err := system.Patch(t.Context(), revocation.ConfigMap, kind, []byte(body), options)
		return err
	}
	create := func() error { _, err := system.Create(t.Context(), list, metav1.CreateOptions{}); return err }
	apply := func() error {
		return patch(types.ApplyPatchType, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"`+revocation.ConfigMap+`"},"data":{"edge-1":"x"}}`, metav1.PatchOptions{FieldManager: "bob"})
	}
	refuse := func(attempts map[string]func() error) {
		t.Helper()
		for name, attempt := range attempts {
			if err := attempt(); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "it needs the verb revoke on signers.certificates.k8s.io") {
				t.Errorf("%s: got %v, want a 403 that names the right", name, err)
			}
		}
	}
	refuse(map[string]func() error{"a create before there is one": create, "an apply before there is one": apply})
	if _, _, err := gatehouse(t, "user", "revoke", "jane", "--data-dir", dataDir); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the revocation is in force", func(ctx context.Context) bool { return apierrors.IsUnauthorized(listMaps(ctx, jane)) })
	refuse(map[string]func() error{
		"an apply":  apply,
		"an update": func() error { _, err := system.Update(t.Context(), list, metav1.UpdateOptions{}); return err },
		"a patch":   func() error { return patch(types.MergePatchType, `{"data":null}`, metav1.PatchOptions{}) },
		"an owner": func() error {
			return patch(types.MergePatchType, `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"1"}]}}`, metav1.PatchOptions{})
		},
		"a deletion": func() error { return system.Delete(t.Context(), revocation.ConfigMap, none) },
		"the deletion of all": func() error {
			return system.DeleteCollection(t.Context(), none, metav1.ListOptions{FieldSelector: "metadata.name=" + revocation.ConfigMap})
		},
	})
	stored, err := kubernetes.NewForConfigOrDie(admin).CoreV1().ConfigMaps(revocation.Namespace).Get(t.Context(), revocation.ConfigMap, metav1.GetOptions{})
	if err != nil || len(stored.Data) != 1 || len(stored.OwnerReferences) != 0 {
		t.Errorf("the stored revocations: %v, %v", stored, err)
	}
	if err := listMaps(t.Context(), jane); !apierrors.IsUnauthorized(err) {
		t.Errorf("the revoked certificate: %v", err)
	}
	if _, err := system.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{}); err != nil {
		t.Errorf("another config map: %v", err)
	}
	grantRevoking(t, admin, "bob")
	kit.Eventually(t, "the right to revoke is in force", func(context.Context) bool {
		return patch(types.MergePatchType, `{"data":null}`, metav1.PatchOptions{}) == nil
	})
	kit.Eventually(t, "the revocation is lifted", func(ctx context.Context) bool { return listMaps(ctx, jane) == nil })
}

// grantRevoking gives a user the right to revoke.
func grantRevoking(t *testing.T, admin *rest.Config, user string) {
	t.Helper()
	roles := kubernetes.NewForConfigOrDie(admin).RbacV1()
	_, err := roles.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "revokers"},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"revoke"}, APIGroups: []string{"certificates.k8s.io"}, Resources: []string{"signers"}, ResourceNames: []string{"kubernetes.io/kube-apiserver-client"}}},
	}, metav1.CreateOptions{})
	if err == nil {
		_, err = roles.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "revokers"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "revokers"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestARevocationThatLocksOutOrHasNoEffectIsRefused(t *testing.T) {
	dir := dataDir(t)
	list, err := certificates.List(filepath.Join(dir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	serials := map[string]string{}
	for _, certificate := range list {
		serials[certificate.Kind] = revocation.Serial(certificate.Certificate)
	}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"the administrator's own certificate", []string{"--serial", serials["admin"]}, "is the serial number of the certificate with which this command connects (gatehouse-admin)"},
		{"the same with --force", []string{"--serial", serials["admin"], "--force"}, "the revocation cannot be written"},
		{"another with it", []string{"--serial", "ff", "--serial", strings.ToUpper(serials["admin"])}, "with which this command connects"},
		{"the authority's", []string{"--serial", serials["ca"]}, "is that of the server's ca certificate, and a revocation of it has no effect"},
		{"the server's, with --force", []string{"--serial", serials["serving"], "--force"}, "is that of the server's serving certificate, and a revocation of it has no effect"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := gatehouse(t, append([]string{"user", "revoke", "--data-dir", dir}, test.args...)...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
