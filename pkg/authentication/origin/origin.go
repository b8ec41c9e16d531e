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

package origin

import "context"

// FrontProxy is the name of the authenticator of requests that a proxy has authenticated: it sees the name of the
// user, and none of the user's credentials.
const FrontProxy = "front-proxy"

type recordKey struct{}

// WithRecord returns a context in which Accept writes to name.
func WithRecord(ctx context.Context, name *string) context.Context {
	return context.WithValue(ctx, recordKey{}, name)
}

// Accept records the authenticator that accepted the request of the context. Without WithRecord it does
// nothing.
func Accept(ctx context.Context, name string) {
	if record, ok := ctx.Value(recordKey{}).(*string); ok {
		*record = name
	}
}

// Error is the error of an authenticator.
type Error struct {
	// By is the name of the authenticator, and Part what of it decided, such as an issuer; it may be empty.
	By, Part string
	Err      error
}

// Name returns the name that Accept records for a part of an authenticator, which may be empty.
func Name(by, part string) string {
	if part == "" {
		return by
	}
	return by + " " + part
}

// Name returns the name that Accept would have recorded.
func (e *Error) Name() string { return Name(e.By, e.Part) }

// Error implements error.
func (e *Error) Error() string { return e.By + ": " + e.Err.Error() }

// Unwrap returns the error without the name.
func (e *Error) Unwrap() error { return e.Err }
