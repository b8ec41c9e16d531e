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

// Package bodies refuses request bodies that are cheap to send and expensive to decode, before they are
// decoded. Decode is the parser for checks of patches.
//
// k8s.io/apiserver bounds the bytes of a body. A body can need a thousand times as many in memory: a
// YAML alias of two bytes stands for a value of any size, an empty element of a list takes two or
// three bytes in a body and hundreds in memory, and each element is decoded, defaulted, converted and
// added to managedFields before validation counts it. So this package also bounds how many values a
// body contains, how deeply they are nested, and the bytes for which the aliases of a YAML body stand.
package bodies
