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

// Package browser opens links in the user's browser.
package browser

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Program returns the program that opens links, or nothing. It is the first of $BROWSER, or the desktop's.
func Program() string {
	if programs := filepath.SplitList(os.Getenv("BROWSER")); len(programs) > 0 && programs[0] != "" && !strings.Contains(programs[0], "%") {
		return programs[0]
	}
	program := "xdg-open"
	switch {
	case runtime.GOOS == "darwin":
		program = "open"
	case os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "":
		return ""
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return ""
	}
	return path
}

// Open starts the program with a link and writes its failures to notes. Other users of the machine can
// read the link.
func Open(program, link string, notes io.Writer) {
	command := exec.Command(program, link)
	command.SysProcAttr = ownGroup() // Ctrl-C in the terminal does not end the browser
	if err := command.Start(); err != nil {
		fmt.Fprintf(notes, "The browser does not start: %v\n", err)
		return
	}
	go func() {
		if err := command.Wait(); err != nil {
			fmt.Fprintf(notes, "The browser %s failed: %v\n", filepath.Base(program), err)
		}
	}()
}
