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
	"net/http"
	"testing"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
)

// A second Complete of a configuration that the first one changed would wrap its handlers twice.
func TestCompleteDoesNotChangeItsReceiver(t *testing.T) {
	_, codecs := NewFleetScheme()
	generic := genericapiserver.NewConfig(codecs)
	generic.ExternalAddress = "127.0.0.1:1"
	generic.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	chains := 0
	generic.BuildHandlerChainFunc = func(handler http.Handler, _ *genericapiserver.Config) http.Handler {
		chains++
		return handler
	}
	config := &Config{Generic: generic, Watches: WatchLimits{MaxDuration: time.Hour, RecheckInterval: time.Minute}}
	config.Complete()
	if config.Generic != generic || generic.OpenAPIConfig != nil || generic.OpenAPIV3Config != nil || generic.SkipOpenAPIInstallation {
		t.Errorf("the library's configuration changed: %v, %v, %t", generic.OpenAPIConfig, generic.OpenAPIV3Config, generic.SkipOpenAPIInstallation)
	}
	handler := http.NotFoundHandler()
	if generic.BuildHandlerChainFunc(handler, generic); chains != 1 {
		t.Errorf("the chain was built %d times", chains)
	}
}
