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

package options

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// Watches bound how long a watch lasts without being asked again who watches.
type Watches struct {
	// MaxTimeout ends every watch, whatever timeoutSeconds it asks for.
	MaxTimeout time.Duration
	// RecheckInterval is how often the credentials and the rights of open watches are checked.
	RecheckInterval time.Duration
}

// The default of MaxTimeout is the longest life of a watch without timeoutSeconds at the default
// of --min-request-timeout, so no client sees a shorter one than before.
func newWatches() Watches {
	return Watches{MaxTimeout: time.Hour, RecheckInterval: time.Minute}
}

func (w *Watches) addFlags(fs *pflag.FlagSet) {
	fs.DurationVar(&w.MaxTimeout, "max-watch-timeout", w.MaxTimeout, "Longest life of a watch, whatever timeoutSeconds the client asks for. Each watch ends up to a tenth earlier, so that they do not all come back at once; clients then watch again from where they were.")
	fs.DurationVar(&w.RecheckInterval, "watch-recheck-interval", w.RecheckInterval, "How often the server checks for each open watch that the credentials of its user are still accepted and that the user may still watch. A watch whose user may not is ended. Certificates and tokens that expire end their watches at once.")
}

func (w *Watches) validate() []error {
	var errs []error
	if w.MaxTimeout < time.Second {
		errs = append(errs, fmt.Errorf("--max-watch-timeout=%s is too short: use one second at least, such as 1h", w.MaxTimeout))
	}
	if w.RecheckInterval < time.Second {
		errs = append(errs, fmt.Errorf("--watch-recheck-interval=%s is too short: use one second at least, such as 1m", w.RecheckInterval))
	}
	return errs
}
