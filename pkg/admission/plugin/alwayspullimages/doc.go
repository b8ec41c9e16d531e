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

// Package alwayspullimages makes hosts pull every image at every start, so that an instance runs no
// private image that another instance pulled with its own credentials.
//
// Part of stage 3 of the request's path (see ARCHITECTURE.md), in both modes; off by default.
// Read Admit, then Validate.
//
// Existing objects do not change when the plugin is enabled: no rollout begins. An App's
// container is changed when its image is. A release that an App controls is a copy of the App's template,
// and is not changed: the app controller finds it by equality. Its instances are
// changed like all others.
package alwayspullimages
