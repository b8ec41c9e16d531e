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

// Command language checks the English of hand-written Go files: the share of
// personifying words in comments, and the beginnings of log messages.
// hack/verify-language.sh calls it; read check first.
//
// Components are not persons: personal pronouns for a server read oddly beside k8s.io/apiserver,
// which has 0 to 2 such words in 1,000 lines of comments. A few are right, of people, which is why
// the limit is not zero.
// Log messages follow the Kubernetes logging conventions
// (kubernetes/community, contributors/devel/sig-instrumentation/logging.md).
package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// limit is the largest number of personifying words in 1,000 lines of comments.
const limit = 10

var (
	personifying = regexp.MustCompile(`(?i)\b(who|whom|whose|whoever|whomever|nobody|somebody|everybody|anybody|someone|everyone|anyone|he|him|his|himself|she|her)\b`)
	// logCalls are the functions of klog and logr that take a message.
	logCalls = regexp.MustCompile(`^(Info|Error|Warning|Fatal)(S|f|ln)?$`)
	loggers  = regexp.MustCompile(`(?i)^(klog|log|logger)$`)
	// weakBeginnings are words that hide what happened until later in the message.
	weakBeginnings = map[string]bool{
		"a": true, "an": true, "the": true, "no": true, "not": true, "nobody": true, "something": true, "again": true, "another": true,
		"of": true, "still": true, "what": true, "whether": true, "who": true, "whose": true, "there": true, "it": true, "this": true,
	}
)

// report is what check found in files.
type report struct {
	lines, words int
	// found has a line for each personifying word.
	found []string
	// messages has a line for each log message that begins badly.
	messages []string
}

// perThousand returns the personifying words in 1,000 lines of comments.
func (r report) perThousand() float64 {
	if r.lines == 0 {
		return 0
	}
	return float64(r.words) * 1000 / float64(r.lines)
}

func main() {
	list := flag.Bool("list", false, "Print every personifying word with its place.")
	flag.Parse()
	var all report
	for _, file := range flag.Args() {
		if err := all.check(file, nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	tooMany := all.perThousand() > limit
	if *list || tooMany {
		for _, place := range all.found {
			fmt.Fprintln(os.Stderr, place)
		}
	}
	for _, message := range all.messages {
		fmt.Fprintln(os.Stderr, message)
	}
	fmt.Printf("%d personifying words in %d lines of comments: %.1f in 1,000, of %d allowed\n", all.words, all.lines, all.perThousand(), limit)
	if tooMany || len(all.messages) > 0 {
		os.Exit(1)
	}
}

// check adds what is found in file. source replaces the file's content unless it is nil.
// Generated files are left out.
func (r *report) check(file string, source any) error {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if ast.IsGenerated(parsed) {
		return nil
	}
	for _, group := range parsed.Comments {
		if strings.Contains(group.Text(), "Licensed under the Apache License") {
			continue
		}
		for _, comment := range group.List {
			for i, line := range strings.Split(comment.Text, "\n") {
				r.lines++
				for _, word := range personifying.FindAllString(line, -1) {
					r.words++
					r.found = append(r.found, fmt.Sprintf("%s:%d: %s", file, files.Position(comment.Pos()).Line+i, word))
				}
			}
		}
	}
	if strings.HasSuffix(file, "_test.go") {
		return nil
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		if message, at, ok := logMessage(node); ok {
			if why := badBeginning(message); why != "" {
				r.messages = append(r.messages, fmt.Sprintf("%s: log message %q %s", files.Position(at), message, why))
			}
		}
		return true
	})
	return nil
}

// logMessage returns the constant message of a call of klog or of a logger.
func logMessage(node ast.Node) (message string, at token.Pos, ok bool) {
	call, isCall := node.(*ast.CallExpr)
	if !isCall {
		return "", 0, false
	}
	method, isMethod := call.Fun.(*ast.SelectorExpr)
	if !isMethod || !logCalls.MatchString(method.Sel.Name) || !isLogger(method.X) {
		return "", 0, false
	}
	for _, argument := range call.Args[:min(2, len(call.Args))] { // the error of Error comes before the message
		if literal, isLiteral := argument.(*ast.BasicLit); isLiteral && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			return text, literal.Pos(), err == nil
		}
	}
	return "", 0, false
}

// isLogger reports whether the expression is klog, or a logger by its name, or a call of one, such as
// klog.FromContext(ctx).V(2).
func isLogger(expression ast.Expr) bool {
	switch e := expression.(type) {
	case *ast.Ident:
		return loggers.MatchString(e.Name)
	case *ast.SelectorExpr:
		return isLogger(e.X) || loggers.MatchString(e.Sel.Name)
	case *ast.CallExpr:
		return isLogger(e.Fun)
	}
	return false
}

// badBeginning returns what is wrong with the first word of a log message, or nothing.
func badBeginning(message string) string {
	word, _, _ := strings.Cut(message, " ")
	word = strings.TrimRight(word, ",:;")
	switch {
	case word == "":
		return "has no first word"
	case weakBeginnings[strings.ToLower(word)]:
		return fmt.Sprintf("begins with %q: begin with the verb of what happened or the noun of the object", word)
	case word == "etcd", strings.HasPrefix(word, "-"), strings.HasPrefix(word, "%"): // a name, a flag, a value
		return ""
	case !unicode.IsUpper([]rune(word)[0]):
		return "does not begin with a capital"
	}
	return ""
}
