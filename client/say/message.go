package say

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Message is something to tell that is in no language yet: a text of the catalogue and its values. Words of others, such as
// the API's, are messages as they are. It is kept as a string, so that it can be compared and stored: the text and its values
// as a JSON array behind a mark, or the words. The zero value says nothing.
type Message string

// mark begins a message that is to be translated. No words of others begin with it: it is a control character.
const mark = "\x1e"

// NewMessage returns the message of a text; "" says nothing.
func NewMessage(english string) Message {
	if english == "" {
		return ""
	}
	message, _ := encode(english, nil) // a string can be encoded
	return message
}

// Messagef returns the message of a text with the verbs of package fmt and its values: strings, numbers, messages, errors.
func Messagef(english string, values ...any) Message {
	message, err := encode(english, values)
	if err != nil {
		return Message(fmt.Sprintf(english, values...))
	}
	return message
}

// Messages returns the messages of a table of texts.
func Messages[K comparable](texts map[K]string) map[K]Message {
	messages := make(map[K]Message, len(texts))
	for key, english := range texts {
		messages[key] = NewMessage(english)
	}
	return messages
}

func encode(english string, values []any) (Message, error) {
	parts := append(make([]any, 0, 1+len(values)), english)
	for _, value := range values {
		switch v := value.(type) {
		case Message:
		case error:
			value = Of(v)
		case fmt.Stringer:
			value = v.String()
		}
		parts = append(parts, value)
	}
	encoded, err := json.Marshal(parts)
	return Message(mark + string(encoded)), err
}

// Join returns the messages one after the other, with a separator between them that is the same in every language.
func Join(messages []Message, separator string) Message {
	switch len(messages) {
	case 0:
		return ""
	case 1:
		return messages[0]
	}
	values := make([]any, len(messages))
	for i, message := range messages {
		values[i] = message
	}
	joined, _ := encode(strings.Repeat(separator+"%s", len(values))[len(separator):], values) // strings can be encoded
	return joined
}

// In puts the message into words.
func (m Message) In(language Language) string {
	encoded, ok := strings.CutPrefix(string(m), mark)
	if !ok {
		return string(m)
	}
	decoder := json.NewDecoder(strings.NewReader(encoded))
	decoder.UseNumber()
	var parts []any
	if err := decoder.Decode(&parts); err != nil || len(parts) == 0 {
		return encoded
	}
	english, _ := parts[0].(string)
	text, values := language.Text(english), parts[1:]
	for i, value := range values {
		switch value := value.(type) {
		case string:
			values[i] = Message(value).In(language)
		case json.Number:
			if whole, err := value.Int64(); err == nil {
				values[i] = whole
			} else {
				values[i], _ = value.Float64()
			}
		}
	}
	if len(values) == 0 {
		return strings.ReplaceAll(text, "%%", "%")
	}
	return fmt.Sprintf(strings.ReplaceAll(text, "%w", "%s"), values...)
}

// String is the message in English, for logs.
func (m Message) String() string { return m.In(English) }

// failure is an error that is in no language yet.
type failure struct {
	message Message
	err     error // of package fmt, which knows what it wraps
}

// Errorf is fmt.Errorf, %w included, for an error that is put into words when it is told.
func Errorf(english string, values ...any) error {
	err := fmt.Errorf(english, values...)
	message, failed := encode(english, values)
	if failed != nil {
		return err
	}
	return &failure{message, err}
}

// New is errors.New: each is another error.
func New(english string) error { return &failure{message: NewMessage(english)} }

func (f *failure) Error() string { return f.message.String() }

// Say returns what there is to tell.
func (f *failure) Say() Message { return f.message }

// Unwrap returns the error of package fmt, which wraps what was given to %w.
func (f *failure) Unwrap() error { return f.err }

// Of returns what an error has to tell. An error that is in no language yet has a method Say; several of them may be
// joined (errors.Join). What wraps such errors by other means is told in English.
func Of(err error) Message {
	switch err := err.(type) {
	case interface{ Say() Message }:
		return err.Say()
	case interface{ Unwrap() []error }:
		var messages []Message
		for _, err := range err.Unwrap() {
			messages = append(messages, Of(err))
		}
		if joined := Join(messages, "\n"); joined.String() == fmt.Sprint(err) {
			return joined
		}
	}
	return Message(err.Error())
}
