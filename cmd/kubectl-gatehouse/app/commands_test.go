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
	"strings"
	"testing"
)

// execute runs a command line that fails before it connects to a server.
func execute(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	t.Setenv("KUBECONFIG", "/nowhere/kubeconfig")
	var out bytes.Buffer
	code = Execute(context.Background(), args, Streams{Out: &out, Err: &out})
	return code, out.String()
}

func TestWhatIsWrongWithACommandLineIsSaidBeforeAServerIsAsked(t *testing.T) {
	for _, tc := range []struct {
		name string
		line string
		says string
	}{
		{"a mistyped command is refused with the one that was meant", "rollot", `unknown command "rollot" for "kubectl gatehouse": did you mean rollout?`},
		{"a mistyped command below another one as well", "rollout statsu web", `unknown command "statsu" for "kubectl gatehouse rollout": did you mean status?`},
		{"commands that are alike are all suggested", "co", "did you mean cordon or cp or top?"},
		{"a command that is like none leads to the help", "frobnicate", `unknown command "frobnicate" for "kubectl gatehouse": see kubectl gatehouse --help`},
		{"a command that kubectl has itself leads there", "scale app/web", `"kubectl scale app NAME --replicas=N" scales apps`},
		{"a command that is not served yet is refused as such", "debug web", "not served for apps, instances and hosts yet"},
		{"an unknown flag leads to the help of its command", "tree web --frob", "see kubectl gatehouse tree --help"},

		{"create app requires a name", "create app --image=x", "takes a NAME"},
		{"create app takes one name", "create app web date --image=x", `takes one NAME, not 2 (web date): the command of the container comes after "--"`},
		{"create app requires an image", "create app web", "--image is required"},
		{"create app requires an image that is not empty", "create app web --image=a --image=", "--image"},
		{"create app refuses a name that no object may have", "create app Web_ --image=x", `NAME "Web_" is invalid`},
		{"create app refuses a name that is too long for its label", "create app " + strings.Repeat("a", 64) + " --image=x", "is invalid: must be no more than 63"},
		{"create app refuses fewer than no replicas", "create app web --image=x --replicas=-1", "--replicas=-1 is less than 0"},
		{"create app refuses an invalid port", "create app web --image=x --port=65536", "--port=65536 is no port: use a number from 1 to 65535"},
		{"create app refuses port 0", "create app web --image=x --port=0", "--port=0 is no port"},
		{"create app refuses to remove a variable", "create app web --image=x --env=A-", "--env=A- removes a variable"},
		{"create app refuses a variable without a value", "create app web --image=x --env=A", `--env: "A" is no change`},
		{"create app refuses one command for two containers", "create app web --image=x --image=y -- date", `a command after "--" is for one --image`},
		{"create app refuses resources without a quantity", "create app web --image=x --requests=cpu", `--requests=cpu: "cpu" is not of the form NAME=QUANTITY`},
		{"create app refuses an unknown dry run", "create app web --image=x --dry-run=maybe", "--dry-run=maybe is unknown: use none, server or client"},
		{"create app refuses a dry run without a strategy", "create app web --image=x --dry-run -o yaml", "--dry-run has no value"},
		{"create app refuses an unknown format", "create app web --image=x -o wide", "--output=wide is unknown: use json, yaml or name"},

		{"set image requires an image", "set image app/web", "no image is given: write CONTAINER=IMAGE"},
		{"set image refuses a container without an image", "set image app/web server", `no image is given: "server" is no CONTAINER=IMAGE`},
		{"set image requires an app", "set image server=x", "no apps are named: write app/NAME, or use --all or --selector"},
		{"set image takes the word app for a kind", "set image app server=x", "no apps are named"},
		{"set image refuses an empty image", "set image web server=", `"server=" is incomplete`},
		{"set image refuses two images for one container", "set image web a=x a=y", `the container "a" is given two images`},
		{"set image refuses a container beside all", "set image web *=x a=y", "'*' names all containers already"},
		{"set image refuses a name behind a pair", "set image web a=x api", `"api" is not of the form CONTAINER=IMAGE`},
		{"set image refuses all and names", "set image web a=x --all", `--all and names exclude each other: leave out "web" or --all`},
		{"set image refuses all and a selector", "set image a=x --all -l a=b", "--all and --selector exclude each other"},
		{"set image refuses an invalid selector", "set image a=x -l !!", "--selector=!! is no label selector"},
		{"set image refuses a deployment", "set image deployment/web a=x", `"deployment/web" names a deployment, but this is about apps`},
		{"set image refuses the word deployment", "set image deployment web a=x", `"deployment" is a kind that only clusters have: write app web`},
		{"set env requires a change", "set env web", "no change is given"},
		{"set env refuses what is no name of a variable", "set env web =x", `"=x" names no variable`},
		{"set env refuses a variable that is set twice", "set env web A=1 A=2", "A is given twice"},
		{"set env refuses a variable that is set and removed", "set env web A=1 A-", "A is given twice"},
		{"set env refuses secrets with the reason", "set env web --from=secret/x", "an Instance cannot read secrets and config maps yet"},
		{"set env lists variables and not objects", "set env web --list -o yaml", "--list prints variables and not objects"},
		{"set resources requires resources", "set resources web", "no resources are given"},
		{"set resources refuses what is no quantity", "set resources web --limits=cpu=much", `--limits=cpu=much: "much" is no quantity`},
		{"set resources refuses less than nothing", "set resources web --limits=cpu=-1", `"-1" is less than 0`},
		{"set resources refuses a resource that is given twice", "set resources web --limits=cpu=1,cpu=2", "cpu is given twice"},
		{"set serviceaccount requires a service account", "set serviceaccount app/web", "no service account is given"},

		{"taint requires a taint", "taint host edge-1", "no taint is given"},
		{"taint requires a host", "taint a=b:NoSchedule", "no hosts are named: write host/NAME"},
		{"taint refuses a taint without an effect", "taint host edge-1 a=b", `"a=b" has no effect: write a=b:NoSchedule or a=b:NoExecute, or a- to remove the taint`},
		{"taint refuses the effect of nodes", "taint host edge-1 a:PreferNoSchedule", "the effect PreferNoSchedule does not exist for hosts"},
		{"taint refuses an unknown effect", "taint host edge-1 a:No", `the effect "No" is unknown: use NoSchedule or NoExecute`},
		{"taint refuses an invalid key", "taint host edge-1 /a:NoSchedule", `its key "/a" is invalid`},
		{"taint refuses an invalid value", "taint host edge-1 a=b=c:NoSchedule", `its value "b=c" is invalid`},
		{"taint refuses a taint that is given twice", "taint host edge-1 a=b:NoSchedule a=c:NoSchedule", "give it once"},
		{"taint refuses a taint that is added and removed", "taint host edge-1 a=b:NoSchedule a-", "the taint a is both added and removed"},
		{"taint refuses nodes before it taints anything", "taint node edge-1 a=b:NoSchedule", `"node" is a kind that only clusters have: write host edge-1`},
		{"drain requires a host", "drain", "takes a host or more"},
		{"drain refuses a negative grace period", "drain edge-1 --grace-period=-2", "--grace-period=-2 is less than -1"},
		{"drain refuses a negative timeout", "drain edge-1 --timeout=-1s", "--timeout=-1s is less than nothing"},
		{"logs requires an instance", "logs", "no instance is named: write INSTANCE or app/NAME, or use --selector"},
		{"logs refuses a selector beside a name", "logs web -l a=b", `leave out "web" or --selector`},
		{"logs refuses an invalid selector", "logs -l !!", "--selector=!! is no label selector"},
		{"logs refuses two beginnings", "logs web --since=5s --since-time=2026-01-02T15:04:05Z", "--since and --since-time exclude each other"},
		{"logs refuses what is no time", "logs web --since-time=yesterday", "--since-time=yesterday is not a time"},
		{"logs refuses less than a second", "logs web --since=5ms", "--since=5ms is less than a second"},
		{"logs refuses to follow what has ended", "logs web -f --previous", "--follow and --previous exclude each other"},
		{"logs refuses a negative number of lines", "logs web --tail=-2", "--tail=-2 is less than -1"},
		{"logs refuses one container of all", "logs web -c web --all-containers", "--all-containers and --container exclude each other"},
		{"logs refuses a container that is given twice", "logs web proxy -c web", `the container is given twice, as "proxy" and as --container=web`},
		{"exec requires an instance", "exec -- ls", "no instance is named"},
		{"exec requires a command", "exec web", "no command is given"},
		{"exec requires the dashes", "exec web ls", `the command comes after "--": write web -- ls`},
		{"exec takes one instance", "exec web api -- ls", "exec takes one instance, not 2"},
		{"attach takes one instance", "attach web api", "takes one instance, not 2"},
		{"port-forward requires a port", "port-forward web", "takes an instance and a port"},
		{"port-forward refuses what is no port", "port-forward web 8080:0", `"8080:0" is not a pair of ports`},
		{"port-forward refuses a port that is too large", "port-forward web 65536", `"65536" is not a pair of ports`},
		{"cp requires a destination", "cp a", "takes a source and a destination, not 1"},
		{"cp requires a container", "cp a b", "neither argument is in a container"},
		{"cp refuses two containers", "cp web:/a api:/b", "not between containers"},
		{"cp refuses a container without a path", "cp web: b", `"web:" has no path`},
		{"cp refuses a path without an instance", "cp :/a b", `":/a" names no instance`},
		{"cp refuses a file that does not exist", "cp ./nowhere web:/a", "no such file"},
		{"review requires a verb and a resource", "review create", "accepts between 2 and 3 arg(s)"},
		{"review refuses a verb of no request", "review approve csr x", `the verb "approve" is unknown: use one of create,`},
		{"review refuses a create without an object", "review create app", "name its file with --filename"},
		{"review refuses a patch without a patch", "review patch app web", "name one patch: by --patch, or by --filename"},
		{"review refuses an unknown type of a patch", "review patch app web -p {} --type=x", "--type=x is unknown: use strategic, merge, json or apply"},
		{"review refuses a forced merge", "review patch app web -p {} --force-conflicts", "--force-conflicts is for --type=apply"},
		{"review refuses a patch of a delete", "review delete app web -p {}", "are for the verb patch, not for delete"},
		{"review refuses a file of a get", "review get app web -f x", "are for the verbs create, update and patch, not for get"},
		{"review refuses an unknown validation", "review get app web --validate=x", "--validate=x is unknown: use strict, warn or ignore"},
		{"review refuses groups of no user", "review get app web --as-group=x", "need --as, the name of the user"},
		{"a server that is not configured is missing with the way to configure it", "tree web", "no server is configured: name a kubeconfig with --kubeconfig or $KUBECONFIG"},
		{"an extra of a user is a pair", "tree web --as-user-extra=x", "--as-user-extra=x is no pair: write KEY=VALUE"},
		{"two apps are one too many for tree", "tree app web api", "takes one app, not 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, said := execute(t, strings.Fields(tc.line)...)
			if line, _ := strings.CutPrefix(said, "error: "); code != exitFailed || line == said || !strings.Contains(said, tc.says) {
				t.Errorf("%q ended with %d and says %q, not %q", tc.line, code, said, tc.says)
			}
		})
	}
}

func TestAnAppIsPrintedWithoutAServer(t *testing.T) {
	for _, tc := range []struct {
		name string
		args string
		want string
	}{
		{"the least that there can be", "create app web --image=registry.example.com/web:1.0 --dry-run=client -o yaml", `apiVersion: fleet.gatehouse.dev/v1alpha1
kind: App
metadata:
  labels:
    app: web
  name: web
spec:
  replicas: 1
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - image: registry.example.com/web:1.0
        name: web
`},
		{"all flags", "create app web -n shop --image=web:1,sidecar --replicas=0 --port=8080 --env=A=b=c --env=D= --requests=cpu=100m --limits=memory=1Gi --dry-run=client -o yaml", `apiVersion: fleet.gatehouse.dev/v1alpha1
kind: App
metadata:
  labels:
    app: web
  name: web
  namespace: shop
spec:
  replicas: 0
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - env:
        - name: A
          value: b=c
        - name: D
        image: web:1
        name: web
        ports:
        - containerPort: 8080
        resources:
          limits:
            memory: 1Gi
          requests:
            cpu: 100m
      - env:
        - name: A
          value: b=c
        - name: D
        image: sidecar
        name: sidecar
        resources:
          limits:
            memory: 1Gi
          requests:
            cpu: 100m
`},
		{"a command", "create app web --image=web --dry-run=client -o json -- /bin/web --port 80", `"command": [
              "/bin/web",
              "--port",
              "80"
            ]`},
		{"a name", "create app web --image=web --dry-run=client -o name", "app.fleet.gatehouse.dev/web\n"},
		{"a line", "create app web --image=web --dry-run=client", "app.fleet.gatehouse.dev/web created (dry run)\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, said := execute(t, strings.Fields(tc.args)...)
			if code != exitDone || !strings.Contains(said, tc.want) || strings.HasSuffix(tc.args, "yaml") && said != tc.want {
				t.Errorf("%q ended with %d and says\n%s\nnot\n%s", tc.args, code, said, tc.want)
			}
		})
	}
}
