// Answers, line by line, what the libraries behind kubectl, kustomize and Flux make of an input.
// One request and one response per line, as JSON; the test beside it holds the other side.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/fluxcd/pkg/sourceignore"
	yaml3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

type request struct {
	Rule  string          `json:"rule"`
	Text  string          `json:"text"`
	Value json.RawMessage `json:"value"`
	Paths []string        `json:"paths"`
}

type response struct {
	Text  string `json:"text"`
	Flags []bool `json:"flags"`
	Error string `json:"error"`
}

func answer(r request) (out response) {
	defer func() {
		if failed := recover(); failed != nil {
			out = response{Error: fmt.Sprint("panic: ", failed)}
		}
	}()
	var text []byte
	var err error
	switch r.Rule {
	case "read":
		text, err = yaml.YAMLToJSON([]byte(r.Text))
	case "read3":
		var value any
		if err = yaml3.Unmarshal([]byte(r.Text), &value); err == nil {
			text, err = json.Marshal(value)
		}
	case "write":
		text, err = yaml.JSONToYAML(r.Value)
	case "ignore":
		matcher := sourceignore.NewMatcher(sourceignore.ReadPatterns(strings.NewReader(r.Text), nil))
		for _, path := range r.Paths {
			directory := strings.HasSuffix(path, "/")
			out.Flags = append(out.Flags, matcher.Match(strings.Split(strings.TrimSuffix(path, "/"), "/"), directory))
		}
	}
	if err != nil {
		return response{Error: err.Error()}
	}
	out.Text = string(text)
	return out
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for decoder.More() {
		var r request
		if err := decoder.Decode(&r); err != nil {
			panic(err)
		}
		if err := encoder.Encode(answer(r)); err != nil {
			panic(err)
		}
	}
}
