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

package storage_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/features"
	apistorage "k8s.io/apiserver/pkg/storage"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
)

// suite is one of the library's suites for storages, called as etcd3/store_test.go,
// etcd3/watcher_test.go and cacher/cacher_test.go of k8s.io/apiserver/pkg/storage call it.
type suite struct {
	name string
	run  func(t *testing.T, s *subject)
	// only limits a suite to the kind of storage that the library itself runs it on.
	only kind
	// setup changes how the storage is built.
	setup []func(*setup)
	// timed is set for a suite that has limits of time, which a busy machine may miss: it has three tries.
	timed bool
}

// kind is a storage with or without a watch cache, or either one.
type kind string

const (
	either   kind = ""
	uncached kind = "without a watch cache"
	cached   kind = "with a watch cache"
)

// errCorrupt is the error of a transformer for a damaged value.
var errCorrupt = errors.New("bits flipped")

// plain adapts a suite that takes the storage only.
func plain(run func(context.Context, *testing.T, apistorage.Interface)) func(*testing.T, *subject) {
	return func(t *testing.T, s *subject) { run(t.Context(), t, s) }
}

var suites = []suite{
	{name: "Create", run: func(t *testing.T, s *subject) { storagetesting.RunTestCreate(t.Context(), t, s, s.validateKey) }},
	{name: "CreateWithTTL", run: plain(storagetesting.RunTestCreateWithTTL)},
	{name: "CreateWithKeyExist", run: plain(storagetesting.RunTestCreateWithKeyExist)},
	{name: "Get", run: plain(storagetesting.RunTestGet)},
	{name: "KeySchema", run: plain(storagetesting.RunTestKeySchema)},

	{name: "UnconditionalDelete", run: plain(storagetesting.RunTestUnconditionalDelete)},
	{name: "ConditionalDelete", run: plain(storagetesting.RunTestConditionalDelete)},
	{name: "DeleteWithSuggestion", run: plain(storagetesting.RunTestDeleteWithSuggestion)},
	{name: "DeleteWithSuggestionAndConflict", run: plain(storagetesting.RunTestDeleteWithSuggestionAndConflict)},
	{name: "DeleteWithSuggestionOfDeletedObject", run: plain(storagetesting.RunTestDeleteWithSuggestionOfDeletedObject)},
	{name: "ValidateDeletionWithSuggestion", run: plain(storagetesting.RunTestValidateDeletionWithSuggestion)},
	{name: "ValidateDeletionWithOnlySuggestionValid", run: plain(storagetesting.RunTestValidateDeletionWithOnlySuggestionValid)},
	{name: "DeleteWithConflict", run: plain(storagetesting.RunTestDeleteWithConflict)},
	{name: "PreconditionalDeleteWithSuggestion", run: plain(storagetesting.RunTestPreconditionalDeleteWithSuggestion)},
	{name: "PreconditionalDeleteWithOnlySuggestionPass", run: plain(storagetesting.RunTestPreconditionalDeleteWithOnlySuggestionPass)},
	{name: "DeleteWithConflictAndMissingExpectedTransformOrDecodeError", setup: unsafeDeletion, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestDeleteWithConflictAndMissingExpectedTransformOrDecodeError(t.Context(), t, s, s.transformer.setFailing)
	}},
	{name: "DeleteExpectedTransformOrDecodeError", setup: unsafeDeletion, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestDeleteExpectedTransformOrDecodeError(t.Context(), t, s, s.transformer.setFailing)
	}},
	{name: "DeleteWithSuggestionAndMissingExpectedTransformOrDecodeError", setup: unsafeDeletion, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestDeleteWithSuggestionAndMissingExpectedTransformOrDecodeError(t.Context(), t, s)
	}},

	{name: "List", run: func(t *testing.T, s *subject) {
		storagetesting.RunTestList(t.Context(), t, s, s.compact, s.kind == cached, s.recorder)
	}},
	{name: "ConsistentList", run: func(t *testing.T, s *subject) {
		storagetesting.RunTestConsistentList(t.Context(), t, s, s.increaseRevision, s.kind == cached, true, s.kind == cached)
	}},
	{name: "GetListNonRecursive", run: func(t *testing.T, s *subject) {
		storagetesting.RunTestGetListNonRecursive(t.Context(), t, s.increaseRevision, s)
	}},
	{name: "GetListRecursivePrefix", run: plain(storagetesting.RunTestGetListRecursivePrefix)},
	{name: "GetListWithoutErrorAggregation", only: uncached, setup: append([]func(*setup){noPrefix}, noUnsafeDeletion...), run: func(t *testing.T, s *subject) {
		storagetesting.RunTestGetListWithoutErrorAggregation(t.Context(), t, s, errCorrupt)
	}},
	{name: "ListPaging", run: plain(storagetesting.RunTestListPaging)},
	{name: "ListContinuation", run: func(t *testing.T, s *subject) {
		storagetesting.RunTestListContinuation(t.Context(), t, s, s.validateCalls)
	}},
	// The library's watch for compactions reads a key, which the suite would count.
	{name: "ListPaginationRareObject", setup: []func(*setup){gate(features.ListFromCacheSnapshot, false)}, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestListPaginationRareObject(t.Context(), t, s, s.validateCalls)
	}},
	{name: "ListContinuationWithFilter", run: func(t *testing.T, s *subject) {
		storagetesting.RunTestListContinuationWithFilter(t.Context(), t, s, s.validateCalls)
	}},
	{name: "ListInconsistentContinuation", only: uncached, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestListInconsistentContinuation(t.Context(), t, s, s.compact)
	}},
	{name: "ListResourceVersionMatch", only: uncached, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestListResourceVersionMatch(t.Context(), t, s)
	}},
	{name: "NamespaceScopedList", setup: indexed, run: plain(storagetesting.RunTestNamespaceScopedList)},
	{name: "CompactRevision", run: func(t *testing.T, s *subject) {
		storagetesting.RunTestCompactRevision(t.Context(), t, s, s.increaseRevision, s.compact)
	}},
	{name: "Stats", run: func(t *testing.T, s *subject) {
		storagetesting.RunTestStats(t.Context(), t, s, protobufCodec, s.stored, s.kind == cached)
	}},

	{name: "GuaranteedUpdate", only: uncached, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestGuaranteedUpdate(t.Context(), t, s, s.validateKey)
	}},
	{name: "GuaranteedUpdateWithTTL", run: plain(storagetesting.RunTestGuaranteedUpdateWithTTL)},
	{name: "GuaranteedUpdateChecksStoredData", only: uncached, setup: []func(*setup){jsonCodec}, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestGuaranteedUpdateChecksStoredData(t.Context(), t, s)
	}},
	{name: "GuaranteedUpdateWithConflict", run: plain(storagetesting.RunTestGuaranteedUpdateWithConflict)},
	{name: "GuaranteedUpdateWithSuggestionAndConflict", run: plain(storagetesting.RunTestGuaranteedUpdateWithSuggestionAndConflict)},
	{name: "TransformationFailure", only: uncached, setup: noUnsafeDeletion, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestTransformationFailure(t.Context(), t, s)
	}},

	{name: "Watch", run: plain(storagetesting.RunTestWatch)},
	{name: "ClusterScopedWatch", setup: append([]func(*setup){clusterScoped}, indexed...), run: plain(storagetesting.RunTestClusterScopedWatch)},
	{name: "NamespaceScopedWatch", setup: indexed, run: plain(storagetesting.RunTestNamespaceScopedWatch)},
	{name: "DeleteTriggerWatch", run: plain(storagetesting.RunTestDeleteTriggerWatch)},
	// The library's own test empties the watch cache through unexported fields.
	{name: "WatchFromZero", only: uncached, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestWatchFromZero(t.Context(), t, s, s.compact)
	}},
	{name: "WatchFromNonZero", run: plain(storagetesting.RunTestWatchFromNonZero)},
	{name: "DelayedWatchDelivery", run: plain(storagetesting.RunTestDelayedWatchDelivery)},
	{name: "WatchError", only: uncached, run: func(t *testing.T, s *subject) { storagetesting.RunTestWatchError(t.Context(), t, s) }},
	{name: "WatchWithUnsafeDelete", only: uncached, setup: unsafeDeletion, run: func(t *testing.T, s *subject) {
		storagetesting.RunTestWatchWithUnsafeDelete(t.Context(), t, s, errCorrupt)
	}},
	{name: "WatchErrorIsBlockingFurtherEvents", only: uncached, run: func(t *testing.T, s *subject) {
		storagetesting.RunWatchErrorIsBlockingFurtherEvents(t.Context(), t, s)
	}},
	{name: "WatchContextCancel", only: uncached, run: plain(storagetesting.RunTestWatchContextCancel)},
	{name: "WatcherTimeout", timed: true, run: plain(storagetesting.RunTestWatcherTimeout)},
	{name: "WatchDeleteEventObjectHaveLatestRV", run: plain(storagetesting.RunTestWatchDeleteEventObjectHaveLatestRV)},
	{name: "WatchInitializationSignal", run: plain(storagetesting.RunTestWatchInitializationSignal)},
	{name: "WatchDispatchBookmarkEvents", run: func(t *testing.T, s *subject) {
		storagetesting.RunTestWatchDispatchBookmarkEvents(t.Context(), t, s, s.kind == cached)
	}},
	{name: "WatchBookmarksWithCorrectResourceVersion", only: cached, run: plain(storagetesting.RunTestOptionalWatchBookmarksWithCorrectResourceVersion)},
	{name: "SendInitialEventsBackwardCompatibility", run: plain(storagetesting.RunSendInitialEventsBackwardCompatibility)},
	{name: "WatchSemantics", timed: true, setup: waitingForTheCache, run: plain(storagetesting.RunWatchSemantics)},
	{name: "WatchSemanticInitialEventsExtended", timed: true, setup: waitingForTheCache, run: plain(storagetesting.RunWatchSemanticInitialEventsExtended)},
	{name: "WatchListMatchSingle", setup: waitingForTheCache, run: plain(storagetesting.RunWatchListMatchSingle)},
}

// leftOut are the suites that the library has and that are not run here, with the reason.
var leftOut = map[string]string{
	"RunTestGetListWithErrorAggregation": "injects an error that is no damage above the wrapper that makes damage of every error of a transformer; a server has no transformer there",
	"RunOptionalTestProgressNotify":      "waits for etcd's own progress notification, which comes every 10 minutes; the storages request them instead: TestProgressRequestsAreDetectedAndAnswered",
}

// TestEverySuiteOfTheLibraryIsRunOrLeftOutForAReason fails when an upgrade brings a new suite.
func TestEverySuiteOfTheLibraryIsRunOrLeftOutForAReason(t *testing.T) {
	called, err := os.ReadFile("suites_test.go")
	if err != nil {
		t.Fatal(err)
	}
	known := 0
	for name := range declarationsOf(t, "k8s.io/apiserver", "pkg/storage/testing") {
		if !strings.HasPrefix(name, "Run") || strings.HasPrefix(name, "RunBenchmark") {
			continue
		}
		known++
		if runs := bytes.Contains(called, []byte("storagetesting."+name)); runs == (leftOut[name] != "") {
			t.Errorf("%s: add it to suites as the library's own tests call it, or to leftOut with the reason, and not to both", name)
		}
	}
	if known < len(suites) {
		t.Errorf("the library has %d suites, fewer than the %d that are run", known, len(suites))
	}
}

func TestTheSuitesOfTheLibraryPassOnStoragesInTheProcess(t *testing.T) {
	for _, kind := range []kind{uncached, cached} {
		t.Run(string(kind), func(t *testing.T) {
			for _, suite := range suites {
				if suite.only != either && suite.only != kind {
					continue
				}
				t.Run(suite.name, func(t *testing.T) {
					if suite.timed && os.Getenv(oneTry) == "" {
						tryThreeTimes(t)
						return
					}
					suite.run(t, newSubject(t, kind, suite.setup))
				})
			}
		})
	}
}

// oneTry is set in the process of one try of a timed suite.
const oneTry = "GATEHOUSE_TEST_ONE_TRY"

// tryThreeTimes runs this test in processes of its own until it passes, because a failed test cannot be taken back: the
// suite gives an event 150 ms to arrive, which says nothing about a storage on a busy machine.
func tryThreeTimes(t *testing.T) {
	t.Helper()
	name := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	for try := range 3 {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+name, "-test.v")
		command.Env = append(os.Environ(), oneTry+"=1")
		output, err := command.CombinedOutput()
		if err == nil && bytes.Contains(output, []byte("--- PASS: "+t.Name())) {
			return
		}
		t.Logf("try %d: %v", try+1, err)
		if try == 2 {
			t.Fatalf("%s", output)
		}
	}
}
