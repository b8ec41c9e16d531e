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

// Command hello is the first container of a real host: a static program with an HTTP server. With the
// argument pause it does nothing until it is stopped: runtimes keep such a program for each sandbox. The
// arguments cat and size are for "kubectl gatehouse exec": it copies its input, or prints the size of its terminal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "pause":
			<-ctx.Done()
			return
		case "cat":
			_, _ = io.Copy(os.Stdout, os.Stdin)
			return
		case "size":
			printSize()
			return
		}
	}
	var o options
	flag.IntVar(&o.port, "port", 8080, "Port of the HTTP server.")
	flag.DurationVar(&o.exitAfter, "exit-after", 0, "Exit after this time; 0 for never.")
	flag.IntVar(&o.exitCode, "exit-code", 0, "Exit code after --exit-after.")
	flag.IntVar(&o.allocate, "allocate", 0, "Memory to use, in MiB.")
	flag.DurationVar(&o.stopDelay, "stop-delay", 0, "Time between SIGTERM and the exit.")
	flag.StringVar(&o.show, "show", "", "What to print at the start, separated by commas: $NAME for a variable, /PATH for a file, uid for the user.")
	flag.Parse()
	os.Exit(run(ctx, &o))
}

// printSize prints the rows and columns of the terminal. A client sends them soon after the start of the program.
func printSize() {
	if !term.IsTerminal(0) {
		fmt.Println("no terminal")
		return
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if columns, rows, err := term.GetSize(0); err == nil && columns > 0 || time.Now().After(deadline) {
			fmt.Println(rows, columns)
			return
		}
	}
}

type options struct {
	port, exitCode, allocate int
	exitAfter, stopDelay     time.Duration
	show                     string
}

// printOne prints a variable, a file or the user.
func printOne(what string) {
	switch name, isVariable := strings.CutPrefix(what, "$"); {
	case isVariable:
		fmt.Printf("%s=%s\n", name, os.Getenv(name))
	case what == "uid":
		fmt.Printf("uid=%d\n", os.Getuid())
	default:
		content, err := os.ReadFile(what)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %s\n", what, content)
	}
}

// run serves until the context ends and returns the exit code.
func run(ctx context.Context, o *options) int {
	name, _ := os.Hostname()
	fmt.Printf("hello from %s, process %d\n", name, os.Getpid())
	if o.show != "" {
		for what := range strings.SplitSeq(o.show, ",") {
			printOne(what)
		}
	}
	memory := make([]byte, o.allocate<<20)
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1 // the kernel gives pages that are written to
	}
	exit := make(chan int, 1)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Printf("%s %s from %s\n", r.Method, r.URL.Path, r.RemoteAddr)
		fmt.Fprintf(w, "hello from %s\n", name)
	})
	http.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.FormValue("code"))
		fmt.Fprintln(w, "exiting")
		exit <- code
	})
	server := &http.Server{Addr: fmt.Sprintf(":%d", o.port), ReadHeaderTimeout: time.Minute}
	go func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, err)
			exit <- 1
		}
	}()
	var timeout <-chan time.Time
	if o.exitAfter > 0 {
		timeout = time.After(o.exitAfter)
	}
	select {
	case code := <-exit:
		return code
	case <-timeout:
		fmt.Fprintf(os.Stderr, "exiting with code %d\n", o.exitCode)
		return o.exitCode
	case <-ctx.Done():
		fmt.Println("SIGTERM received, stopping")
		time.Sleep(o.stopDelay)
		return 0
	}
}
