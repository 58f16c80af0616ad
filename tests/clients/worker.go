// SPDX-License-Identifier: Apache-2.0

// A job worker on the AWS SDK for Go 2: makes the calls it is given and prints one JSON answer per line.
//
//	worker URL CALLS
//
// CALLS is a JSON list of [operation, request]. In a request "$name" stands for what an earlier answer was
// kept as; a third element keeps parts of the answer: {"name": "path.0.to.it"}. An operation that ends with
// "Pages" is made by the SDK's paginator, and its answer is the list of all pages.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/smithy-go"
)

var paginators = map[string]interface{}{
	"ListActionTypesPages":        codepipeline.NewListActionTypesPaginator,
	"ListActionExecutionsPages":   codepipeline.NewListActionExecutionsPaginator,
	"ListPipelineExecutionsPages": codepipeline.NewListPipelineExecutionsPaginator,
}

type outcome struct {
	Operation string      `json:"operation"`
	Answer    interface{} `json:"answer,omitempty"`
	Error     string      `json:"error,omitempty"`
	Modelled  bool        `json:"modelled"`
	Message   string      `json:"message,omitempty"`
}

func main() {
	var calls [][]interface{}
	check(json.Unmarshal([]byte(os.Args[2]), &calls))
	client := codepipeline.New(codepipeline.Options{
		Region:           "us-east-1",
		EndpointResolver: codepipeline.EndpointResolverFromURL(os.Args[1]),
		Retryer:          aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAWORKER", SecretAccessKey: "any"}, nil
		}),
	})
	kept := map[string]interface{}{}
	for _, call := range calls {
		operation := call[0].(string)
		said := outcome{Operation: operation}
		if answer, err := made(client, operation, filled(call[1], kept)); err != nil {
			said.Error, said.Modelled, said.Message = described(err)
		} else {
			said.Answer = answer
			if len(call) > 2 {
				keep(kept, answer, call[2].(map[string]interface{}))
			}
		}
		line, err := json.Marshal(said)
		check(err)
		fmt.Println(string(line))
	}
}

// made makes a call, or all calls of a paginator.
func made(client *codepipeline.Client, operation string, request interface{}) (interface{}, error) {
	context := reflect.ValueOf(context.Background())
	if constructor, ok := paginators[operation]; ok {
		make := reflect.ValueOf(constructor)
		paginator := make.Call([]reflect.Value{reflect.ValueOf(client), input(make.Type(), request)})[0]
		pages := []interface{}{}
		for paginator.MethodByName("HasMorePages").Call(nil)[0].Bool() {
			page, err := answered(paginator.MethodByName("NextPage").Call([]reflect.Value{context}))
			if err != nil {
				return nil, err
			}
			pages = append(pages, page)
		}
		return pages, nil
	}
	method := reflect.ValueOf(client).MethodByName(operation)
	return answered(method.Call([]reflect.Value{context, input(method.Type(), request)}))
}

// input reads a request into the SDK's type. Its names differ from AWS's in their first letter's case only.
func input(function reflect.Type, request interface{}) reflect.Value {
	text, err := json.Marshal(request)
	check(err)
	value := reflect.New(function.In(1).Elem())
	check(json.Unmarshal(text, value.Interface()))
	return value
}

func answered(results []reflect.Value) (interface{}, error) {
	if err, failed := results[1].Interface().(error); failed {
		return nil, err
	}
	return plain(results[0]), nil
}

// plain turns an answer of the SDK into JSON with AWS's names, without what is not set.
func plain(value reflect.Value) interface{} {
	switch value.Kind() {
	case reflect.Ptr, reflect.Interface:
		return plain(value.Elem())
	case reflect.Slice:
		list := []interface{}{}
		for i := 0; i < value.Len(); i++ {
			list = append(list, plain(value.Index(i)))
		}
		return list
	case reflect.Map:
		mapping := map[string]interface{}{}
		for _, name := range value.MapKeys() {
			mapping[name.String()] = plain(value.MapIndex(name))
		}
		return mapping
	case reflect.Struct:
		if moment, ok := value.Interface().(time.Time); ok {
			return moment
		}
		members := map[string]interface{}{}
		for i := 0; i < value.NumField(); i++ {
			name := value.Type().Field(i).Name
			if value.Type().Field(i).IsExported() && name != "ResultMetadata" && !unset(value.Field(i)) {
				members[strings.ToLower(name[:1])+name[1:]] = plain(value.Field(i))
			}
		}
		return members
	}
	return value.Interface()
}

// unset says whether AWS's answer had no such member. A list that is empty is set.
func unset(value reflect.Value) bool {
	return value.IsZero() && value.Kind() != reflect.Bool
}

// described returns an error's code, and whether the SDK has a type of its own for it.
func described(err error) (string, bool, string) {
	var known smithy.APIError
	if !errors.As(err, &known) {
		return "", false, err.Error()
	}
	code := known.ErrorCode()
	return code, reflect.TypeOf(known).String() == "*types."+code, known.ErrorMessage()
}

func filled(value interface{}, kept map[string]interface{}) interface{} {
	switch value := value.(type) {
	case string:
		if strings.HasPrefix(value, "$") {
			return kept[value[1:]]
		}
	case []interface{}:
		for i, inner := range value {
			value[i] = filled(inner, kept)
		}
	case map[string]interface{}:
		for name, inner := range value {
			value[name] = filled(inner, kept)
		}
	}
	return value
}

func keep(kept map[string]interface{}, answer interface{}, paths map[string]interface{}) {
	for name, path := range paths {
		inner := answer
		for _, part := range strings.Split(path.(string), ".") {
			if list, ok := inner.([]interface{}); ok {
				index, err := strconv.Atoi(part)
				check(err)
				inner = list[index]
			} else {
				inner = inner.(map[string]interface{})[part]
			}
		}
		kept[name] = inner
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
