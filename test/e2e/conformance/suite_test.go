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

// Package conformance runs Kubernetes' own end-to-end tests on a standalone server. It links the
// packages of k8s.io/kubernetes/test/e2e that test the API; tests.txt says of each test whether it
// runs, or why it is left out. make conformance builds and runs it.
package conformance

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/logs"
	conformancedata "k8s.io/kubernetes/test/conformance/testdata"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	manifests "k8s.io/kubernetes/test/e2e/testing-manifests"
	fixtures "k8s.io/kubernetes/test/fixtures"

	_ "k8s.io/kubernetes/test/e2e/apimachinery"
	_ "k8s.io/kubernetes/test/e2e/auth"
	_ "k8s.io/kubernetes/test/e2e/common/node"
	_ "k8s.io/kubernetes/test/e2e/instrumentation"
)

// suiteName is the description of the suite; Ginkgo matches its filters with this before a name.
const suiteName = "Kubernetes"

// testList is the classification of all tests.
//
//go:embed tests.txt
var testList string

var (
	gatehouse = flag.String("gatehouse", "../../../bin/gatehouse", "Binary of the server that is started for the tests, unless --kubeconfig names another server.")
	class     = flag.String("class", classRun, "Class of tests to run, of those in tests.txt. Tests of other classes than "+classRun+" are expected to fail.")
	list      = flag.Bool("list", false, "Print the class and the name of each test and run none.")
)

func TestMain(m *testing.M) {
	// The framework's default for --kubeconfig: the tests may not run on a server by accident.
	_ = os.Unsetenv(clientcmd.RecommendedConfigPathEnvVar)
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	flag.Parse()
	os.Exit(m.Run())
}

// TestKubernetes runs the tests of one class. It fails for a test that has no class, and for one
// that skips itself.
func TestKubernetes(t *testing.T) {
	classes, err := parseClasses(testList)
	if err != nil {
		t.Fatal("tests.txt:", err)
	}
	prepareFramework()
	names, others := testNames(ginkgo.PreviewSpecs(suiteName))
	if *list {
		fmt.Print(classes.list(names))
		return
	}
	for _, problem := range classes.compare(names) {
		t.Error("tests.txt:", problem)
	}
	if !classes.known(*class) {
		t.Errorf("--class: %q is none of the classes in tests.txt", *class)
	}
	if t.Failed() {
		return
	}
	fmt.Print(classes.summary())
	if framework.TestContext.KubeConfig == "" {
		framework.TestContext.KubeConfig = startGatehouse(t, *gatehouse)
	}
	framework.AfterReadingAllFlags(&framework.TestContext)
	run(t, classes, others)
}

// prepareFramework sets what upstream's framework needs before it lists the tests.
func prepareFramework() {
	logs.InitLogs()
	gomega.RegisterFailHandler(framework.Fail)
	testfiles.AddFileSource(manifests.GetE2ETestingManifestsFS())
	testfiles.AddFileSource(fixtures.GetTestFixturesFS())
	testfiles.AddFileSource(conformancedata.GetConformanceTestdataFS())
	framework.TestContext.Provider = "skeleton"
	framework.TestContext.CloudConfig.NumNodes = 0
	framework.TestContext.IPFamily = "ipv4"
}

// packages are those of upstream whose tests have a class. They import others, with tests of
// workloads, storage and scheduling, that never run here.
var packages = regexp.MustCompile(`/test/e2e/(apimachinery|auth|instrumentation|common/node)/`)

// testNames returns the full names of all tests that have a class, and of the others; sorted.
func testNames(report types.Report) (names, others []string) {
	for _, spec := range report.SpecReports {
		if spec.LeafNodeType != types.NodeTypeIt {
			continue
		}
		if packages.MatchString(spec.LeafNodeLocation.FileName) {
			names = append(names, spec.FullText())
		} else {
			others = append(others, spec.FullText())
		}
	}
	slices.Sort(names)
	slices.Sort(others)
	return slices.Compact(names), slices.Compact(others)
}

// run runs the tests of the class that the flag selects and requires each to pass.
func run(t *testing.T, classes *classification, others []string) {
	suite, reporter := ginkgo.GinkgoConfiguration()
	filtered := len(suite.FocusStrings)+len(suite.SkipStrings)+len(suite.FocusFiles)+len(suite.SkipFiles) > 0 || suite.LabelFilter != ""
	for name, of := range classes.of {
		if of != *class {
			others = append(others, name)
		}
	}
	for i, name := range others {
		others[i] = regexp.QuoteMeta(name)
	}
	suite.SkipStrings = append(suite.SkipStrings, "^"+suiteName+" (?:"+strings.Join(others, "|")+")$")
	ginkgo.ReportAfterSuite("every selected test ran", func(report ginkgo.Report) {
		if filtered || *class != classRun {
			return
		}
		for _, spec := range report.SpecReports {
			if spec.LeafNodeType == types.NodeTypeIt && classes.of[spec.FullText()] == classRun && spec.State == types.SpecStateSkipped {
				t.Errorf("%s skipped itself: %s", spec.FullText(), spec.Failure.Message)
			}
		}
	})
	ginkgo.RunSpecs(t, suiteName, suite, reporter)
}
