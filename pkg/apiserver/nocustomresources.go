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

package apiserver

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"mime"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metainternalversionscheme "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme"
	metainternalversionvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
)

const (
	// customResourceDefinitionsPath is the path of CustomResourceDefinitions on a kube-apiserver.
	customResourceDefinitionsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	// emptyVersion is the resourceVersion of a list that never changes.
	emptyVersion = "1"
	// bookmarkInterval is the interval of a watch's bookmarks, as of the watch cache.
	bookmarkInterval = time.Minute
)

// noCustomResources lists and watches the CustomResourceDefinitions of a server that has none.
// Before it validates an object of a kind that cannot be patched, such as a
// SelfSubjectAccessReview, kubectl checks whether the kind is a custom one, and fails if the
// request fails (k8s.io/cli-runtime/pkg/resource/query_param_verifier.go). Clients that
// follow definitions, such as dynamic RESTMappers, list and then watch, and log an error
// repeatedly if one of the two is missing.
//
// Discovery does not contain the resource, because it cannot be created; roles grant the right to list
// it, as in a cluster.
type noCustomResources struct {
	serializer runtime.NegotiatedSerializer
	// minTimeout is the minimum duration of a watch without timeoutSeconds.
	minTimeout time.Duration
}

func installNoCustomResources(server *genericapiserver.GenericAPIServer, minTimeout time.Duration) {
	server.Handler.NonGoRestfulMux.UnlistedHandle(customResourceDefinitionsPath, &noCustomResources{server.Serializer, minTimeout})
}

// ServeHTTP serves a list or a watch.
func (n *noCustomResources) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	options, err := listOptions(r)
	if err != nil {
		responsewriters.ErrorNegotiated(err, n.serializer, schema.GroupVersion{Version: "v1"}, w, r)
		return
	}
	shape := shapeOf(r.Header.Get("Accept"))
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	if options.Watch {
		n.watch(w, r, options, shape)
		return
	}
	_ = json.NewEncoder(w).Encode(shape.list)
}

// listOptions decodes and validates the parameters as the library does for stored resources.
func listOptions(r *http.Request) (*metainternalversion.ListOptions, error) {
	options := &metainternalversion.ListOptions{}
	if err := metainternalversionscheme.ParameterCodec.DecodeParameters(r.URL.Query(), metav1.SchemeGroupVersion, options); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	metainternalversion.SetListOptionsDefaults(options, true)
	if errs := metainternalversionvalidation.ValidateListOptions(options, true); len(errs) > 0 {
		return nil, apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: "ListOptions"}, "", errs)
	}
	return options, nil
}

// shape is the requested representation of the objects.
type shape struct {
	list     map[string]any
	bookmark func(metadata map[string]any) map[string]any
}

// shapeOf returns the representation of the first supported media type; only JSON is supported.
func shapeOf(accept string) shape {
	version := map[string]any{"resourceVersion": emptyVersion}
	object := func(apiVersion, kind string, more map[string]any) func(map[string]any) map[string]any {
		return func(metadata map[string]any) map[string]any {
			o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata}
			for name, value := range more {
				o[name] = value
			}
			return o
		}
	}
	items := map[string]any{"items": []any{}}
	for clause := range strings.SplitSeq(accept, ",") {
		mediaType, parameters, err := mime.ParseMediaType(strings.TrimSpace(clause))
		if err != nil || mediaType != runtime.ContentTypeJSON {
			continue
		}
		meta := metav1.SchemeGroupVersion.String()
		if parameters["g"] != "" {
			meta = parameters["g"] + "/" + parameters["v"]
		}
		switch parameters["as"] {
		case "Table":
			table := object(meta, "Table", map[string]any{
				"columnDefinitions": []any{map[string]any{"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0}},
				"rows":              []any{},
			})
			return shape{table(version), table}
		case "PartialObjectMetadataList", "PartialObjectMetadata":
			return shape{object(meta, "PartialObjectMetadataList", items)(version), object(meta, "PartialObjectMetadata", nil)}
		}
		break
	}
	const group = "apiextensions.k8s.io/v1"
	return shape{object(group, "CustomResourceDefinitionList", items)(version), object(group, "CustomResourceDefinition", nil)}
}

// watch stays open, without events, until its timeout or the shutdown of the server. A client that
// allows bookmarks gets one at the end of the initial events, if it requests them, and one a minute.
func (n *noCustomResources) watch(w http.ResponseWriter, r *http.Request, options *metainternalversion.ListOptions, shape shape) {
	timeout := time.Duration(float64(n.minTimeout) * (1 + rand.Float64()))
	if options.TimeoutSeconds != nil && *options.TimeoutSeconds > 0 {
		timeout = time.Duration(*options.TimeoutSeconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	var shuttingDown <-chan struct{}
	if signals := request.ServerShutdownSignalFrom(ctx); signals != nil {
		shuttingDown = signals.ShuttingDown()
	}
	// Flow control holds a seat for the watch until its initial events are out.
	utilflowcontrol.WatchInitialized(ctx)
	send := func(annotations map[string]string) bool {
		metadata := map[string]any{"resourceVersion": emptyVersion}
		if annotations != nil {
			metadata["annotations"] = annotations
		}
		err := json.NewEncoder(w).Encode(map[string]any{"type": watch.Bookmark, "object": shape.bookmark(metadata)})
		return err == nil && http.NewResponseController(w).Flush() == nil
	}
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	if initial := options.SendInitialEvents; options.AllowWatchBookmarks && initial != nil && *initial {
		if !send(map[string]string{metav1.InitialEventsAnnotationKey: "true"}) {
			return
		}
	}
	bookmarks := time.NewTicker(bookmarkInterval)
	defer bookmarks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-shuttingDown:
			return
		case <-bookmarks.C:
			if options.AllowWatchBookmarks && !send(nil) {
				return
			}
		}
	}
}
