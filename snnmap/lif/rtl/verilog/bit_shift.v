// The rules of the family bit-shift (snnmap/chip/arithmetic/bit_shift.py), one module each.
`default_nettype none

// What a state loses in one step: value >>> dash, but at least 1 towards zero.
module lif_decay #(parameter X = 16, parameter D = 4) (  // lint_off DECLFILENAME
    input wire signed [X-1:0] value, input wire [D-1:0] dash, output wire signed [X-1:0] lost
);
    wire signed [X-1:0] shifted = value >>> dash;
    assign lost = shifted == 0 && value != 0 ? {{(X-1){1'b0}}, 1'b1} : shifted;
endmodule

// A current is left as it is when a step begins.
module lif_enter #(parameter X = 16, parameter D = 4) (
    input wire [X-1:0] current, input wire [D-1:0] code, output wire [X-1:0] entered
);
    wire unused = &{1'b0, code};
    assign entered = current;
endmodule

// What one spike through a stored weight adds.
module lif_count_weight #(parameter X = 16, parameter W = 8, parameter SHB = 3) (
    input wire signed [W-1:0] weight, input wire [SHB-1:0] shift, output wire signed [X-1:0] amount
);
    wire signed [X-1:0] wide = weight;  // lint_off WIDTHEXPAND
    assign amount = wide << shift;
endmodule

// Add an amount within the word.
module lif_add #(parameter X = 16, parameter CNT = 5) (
    input wire signed [X-1:0] current, input wire signed [X+CNT:0] amount, output wire [X-1:0] added
);
    wire signed [X+CNT+1:0] sum = current + amount;  // lint_off WIDTHEXPAND
    lif_saturate #(.FROM(X+CNT+2), .TO(X)) saturate (.value(sum), .result(added));
endmodule

// The current after its decay.
module lif_settle #(parameter X = 16, parameter D = 4) (
    input wire signed [X-1:0] current, input wire [D-1:0] code, output wire signed [X:0] settled
);
    wire signed [X-1:0] lost;
    lif_decay #(.X(X), .D(D)) decay (.value(current), .dash(code), .lost(lost));
    assign settled = current - lost;
endmodule

// The potential before the spike test, three cycles later.
module lif_integrate #(parameter X = 16, parameter D = 4, parameter B = 16, parameter PIPELINED = 1) (
    input wire clk, hold, input wire signed [X-1:0] potential, input wire [D-1:0] code, input wire signed [X+1:0] total,
    input wire signed [B-1:0] bias, output wire signed [X-1:0] reached
);
    wire signed [X-1:0] lost, leak, leak1, change, change2, biased, biased3, v1, v2, v3;
    wire signed [X+1:0] total1;
    wire signed [B-1:0] bias1, bias2;
    lif_decay #(.X(X), .D(D)) decay (.value(potential), .dash(code), .lost(lost));
    assign leak = -lost;    // a word: the lowest state with a code of 0 wraps
    lif_stage #(.WIDTH(3*X+2+B), .PIPELINED(PIPELINED)) stage1 (
        .clk(clk), .hold(hold), .d({potential, leak, total, bias}), .q({v1, leak1, total1, bias1})
    );
    wire signed [X+2:0] sum = leak1 + total1;  // lint_off WIDTHEXPAND
    lif_saturate #(.FROM(X+3), .TO(X)) saturate_change (.value(sum), .result(change));
    lif_stage #(.WIDTH(2*X+B), .PIPELINED(PIPELINED)) stage2 (
        .clk(clk), .hold(hold), .d({v1, change, bias1}), .q({v2, change2, bias2})
    );
    wire signed [X:0] raised = change2 + bias2;  // lint_off WIDTHEXPAND
    lif_saturate #(.FROM(X+1), .TO(X)) saturate_bias (.value(raised), .result(biased));
    lif_stage #(.WIDTH(2*X), .PIPELINED(PIPELINED)) stage3 (.clk(clk), .hold(hold), .d({v2, biased}), .q({v3, biased3}));
    wire signed [X:0] moved = v3 + biased3;
    lif_saturate #(.FROM(X+1), .TO(X)) saturate_potential (.value(moved), .result(reached));
endmodule

// Take 2**K spikes at once, where one after the other would be taken.
module lif_fire #(parameter X = 16, parameter T = 16, parameter CNT = 5, parameter K = 0) (
    input wire signed [X-1:0] potential, input wire signed [T-1:0] threshold, input wire [CNT-1:0] count, max_count,
    output wire fires, output wire signed [X-1:0] left
);
    wire signed [X+K-1:0] wide = threshold;  // lint_off WIDTHEXPAND
    wire signed [X+K-1:0] taken = wide <<< K;
    wire signed [X+K:0] rest = potential - taken;  // lint_off WIDTHEXPAND
    wire [CNT:0] sent = count + (1 << K);
    assign fires = !rest[X+K] && sent <= max_count && (K == 0 || !threshold[T-1]);  // lint_off WIDTHEXPAND
    assign left = rest[X-1:0];
endmodule
`default_nettype wire
