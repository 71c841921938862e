// openpcc/ohttp as the transport of net/http: plain for bodies of a known length, chunked for others.
// os.Args[1] is the JSON that trial.py writes; says "ok NAME" or "FAIL NAME: why" for each case.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openpcc/bhttp"
	"github.com/openpcc/ohttp"
	encoding "github.com/openpcc/ohttp/encoding/bhttp"
)

const (
	text = "Hello from the engine, quetzal-answer-canary-5d1f ü🙂."
	door = "/.well-known/ohttp-gateway"
)

var at struct{ Name, Folder, Relay, Engine, Flipped, Cut string }

type answer struct {
	status  int
	body    []byte
	receipt string
}

func ensure(holds bool, why any) error {
	if holds {
		return nil
	}
	return fmt.Errorf("%v", why)
}

func get(url string) ([]byte, error) {
	a, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	return io.ReadAll(a.Body)
}

func question(model string, stream bool) []byte {
	out, _ := json.Marshal(map[string]any{"model": model, "stream": stream,
		"messages": []any{map[string]string{"role": "user", "content": "marmoset-prompt-canary-77c2"}}})
	return out
}

// ask calls piece with all of the content so far, each time that there is more.
func ask(base string, keys ohttp.KeyConfigs, body []byte, chunked bool, piece func([]byte) error) (*answer, error) {
	var seen *bhttp.Response // net/http gets no trailers that the head does not announce
	enc, err := encoding.NewRequestEncoder(encoding.WithCustomResponseDecoder(&bhttp.ResponseDecoder{
		MapFunc: func(_ context.Context, r *bhttp.Response) (*http.Response, error) {
			seen = r
			return bhttp.MapToHTTP1Response(r)
		}}))
	if err != nil {
		return nil, err
	}
	through, err := ohttp.NewTransport(keys[0], base+door, ohttp.WithRequestEncoder(enc))
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest("POST", "https://w0/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if chunked {
		req.TransferEncoding = []string{"chunked"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	a, err := (&http.Client{Transport: through}).Do(req)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	out := &answer{status: a.StatusCode}
	buf := make([]byte, 16384)
	for err == nil {
		var n int
		n, err = a.Body.Read(buf)
		out.body = append(out.body, buf[:n]...)
		if n > 0 && piece != nil {
			if failed := piece(out.body); failed != nil {
				return nil, failed
			}
		}
	}
	if !errors.Is(err, io.EOF) {
		return out, err
	}
	out.receipt = seen.Trailer.Get("receipt")
	return out, nil
}

func textOf(stream []byte) string {
	out := ""
	for _, line := range strings.Split(string(stream), "\n") {
		var v struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if data, is := strings.CutPrefix(line, "data: "); is && json.Unmarshal([]byte(data), &v) == nil &&
			len(v.Choices) > 0 {
			out += v.Choices[0].Delta.Content
		}
	}
	return out
}

func contentOf(a *answer) string {
	var v struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if a == nil || json.Unmarshal(a.body, &v) != nil || len(v.Choices) == 0 {
		return ""
	}
	return v.Choices[0].Message.Content
}

func keep(name string, request []byte, a *answer) error {
	for kind, data := range map[string][]byte{"request": request, "response": a.body, "receipt": []byte(a.receipt)} {
		if err := os.WriteFile(filepath.Join(at.Folder, name+"."+kind), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

var keys ohttp.KeyConfigs

var cases = []struct {
	name string
	try  func() error
}{
	{"keys", func() error {
		list, err := get(at.Relay + door)
		if err != nil {
			return err
		}
		return keys.UnmarshalBinary(list)
	}},
	{"whole", func() error {
		q := question("gpt-test", false)
		a, err := ask(at.Relay, keys, q, false, nil)
		if err != nil {
			return err
		}
		return errors.Join(keep("whole", q, a), ensure(contentOf(a) == text, string(a.body)))
	}},
	{"stream", func() error {
		q := question("gpt-test", true)
		a, err := ask(at.Relay, keys, q, true, nil)
		if err != nil {
			return err
		}
		return errors.Join(keep("stream", q, a), ensure(textOf(a.body) == text, textOf(a.body)),
			ensure(bytes.Contains(a.body, []byte("data: [DONE]\n\n")), "no [DONE]"))
	}},
	{"order", func() error {
		early := false
		a, err := ask(at.Relay, keys, question("gate-"+at.Name, true), true, func(soFar []byte) error {
			if early || textOf(soFar) != "Hello from" {
				return nil
			}
			early = true
			_, err := get(at.Engine + "/_release/" + at.Name)
			return err
		})
		if err != nil {
			return err
		}
		return ensure(early && textOf(a.body) == text, "it came late, or not whole")
	}},
	{"many", func() error {
		results := make(chan error, 4)
		for t := range 4 {
			go func() {
				var all error
				for i := range 3 {
					a, err := ask(at.Relay, keys, question("words-10-1", true), true, nil)
					all = errors.Join(all, err, ensure(err != nil || strings.HasSuffix(textOf(a.body), "w9 "), "words"))
					a, err = ask(at.Relay, keys, question(fmt.Sprintf("plain-%d-%d", t, i), false), false, nil)
					all = errors.Join(all, err, ensure(contentOf(a) == text, "another text"))
				}
				results <- all
			}()
		}
		return errors.Join(<-results, <-results, <-results, <-results)
	}},
	{"large", func() error {
		q := bytes.Replace(question("big-1024", false), []byte("marmoset"), bytes.Repeat([]byte("x"), 3<<20), 1)
		for _, chunked := range []bool{false, true} {
			a, err := ask(at.Relay, keys, q, chunked, nil)
			if err != nil {
				return err
			}
			if len(contentOf(a)) != 1<<20 {
				return fmt.Errorf("%d bytes", len(a.body))
			}
		}
		return nil
	}},
	{"error", func() error {
		a, err := ask(at.Relay, keys, question("err-429", false), true, nil)
		if err != nil {
			return err
		}
		return ensure(a.status == 429 && bytes.Contains(a.body, []byte("rate_limit_exceeded")), string(a.body))
	}},
	{"flipped", func() error {
		_, plain := ask(at.Flipped, keys, question("gpt-test", false), false, nil)
		_, chunked := ask(at.Flipped, keys, question("gpt-test", true), true, nil)
		return ensure(plain != nil && chunked != nil, "it was taken for an answer")
	}},
	{"cut", func() error {
		seen := 0
		_, err := ask(at.Cut, keys, question("words-50-1", true), true, func(soFar []byte) error {
			seen = len(soFar)
			return nil
		})
		return ensure(err != nil && seen > 0, fmt.Sprintf("%d bytes were taken for an answer", seen))
	}},
	{"other-key", func() error {
		other := append(ohttp.KeyConfigs{}, keys...)
		other[0].PublicKey, _, _ = keys[0].KemID.Scheme().GenerateKeyPair()
		model := "plain-other-" + at.Name
		_, err := ask(at.Relay, other, question(model, false), false, nil)
		calls, failed := get(at.Engine + "/_calls/" + model)
		return errors.Join(failed, ensure(err != nil && string(calls) == "[]", "it was answered"))
	}},
}

func main() {
	if err := json.Unmarshal([]byte(os.Args[1]), &at); err != nil {
		panic(err)
	}
	for _, c := range cases {
		if err := c.try(); err != nil {
			fmt.Printf("FAIL %s: %s\n", c.name, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Printf("ok %s\n", c.name)
		}
	}
	fmt.Println("end")
}
