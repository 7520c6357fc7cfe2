// The rules of the family factor-4096 (snnmap/chip/arithmetic/factor_4096.py), one module each.
// A current is a word whose lowest code stands for the highest value, 2**(X-1).
`default_nettype none

// A product / 4096, cut off towards zero.
module lif_truncate #(parameter X = 24) (  // lint_off DECLFILENAME
    input wire signed [X+14:0] product,
    output wire signed [X:0] scaled
);
    wire signed [X+14:0] towards_zero = product + $signed({{(X+3){1'b0}}, {12{product[X+14]}}});  // lint_off UNUSEDSIGNAL
    assign scaled = towards_zero[X+12:12];
endmodule

// value * kept / 4096.
module lif_scale #(parameter X = 24) (
    input wire signed [X:0] value, input wire [12:0] kept, output wire signed [X:0] scaled
);
    wire signed [X+14:0] product = value * $signed({1'b0, kept});
    lif_truncate #(.X(X)) truncate (.product(product), .scaled(scaled));
endmodule

// A current as the number that it stands for.
module lif_settle #(parameter X = 24, parameter D = 12) (
    input wire [X-1:0] current, input wire [D-1:0] code, output wire signed [X:0] settled
);
    wire unused = &{1'b0, code};
    assign settled = {current[X-1] && current[X-2:0] != 0, current};
endmodule

// A current decays before its input; a code of 4095 leaves nothing.
module lif_enter #(parameter X = 24, parameter D = 12) (
    input wire [X-1:0] current, input wire [D-1:0] code, output wire [X-1:0] entered
);
    wire signed [X:0] value, scaled;  // lint_off UNUSEDSIGNAL
    lif_settle #(.X(X), .D(D)) settle (.current(current), .code(code), .settled(value));
    lif_scale #(.X(X)) scale (.value(value), .kept(13'd4095 - {1'b0, code}), .scaled(scaled));
    assign entered = scaled[X-1:0];
endmodule

// What one spike through a stored weight adds, as far as the word holds it.
module lif_count_weight #(parameter X = 24, parameter W = 8, parameter SHB = 3) (
    input wire signed [W-1:0] weight, input wire [SHB-1:0] shift, output wire signed [X-1:0] amount
);
    wire signed [X-1:0] wide = weight;  // lint_off WIDTHEXPAND
    assign amount = wide << ({1'b0, shift} + 6);
endmodule

// Add within a word whose ends meet.
module lif_add #(parameter X = 24, parameter CNT = 1) (
    input wire [X-1:0] current, input wire signed [X+CNT:0] amount, output wire [X-1:0] added  // lint_off UNUSEDSIGNAL
);
    assign added = current + amount[X-1:0];
endmodule

// The potential before the spike test, three cycles later.
module lif_integrate #(parameter X = 24, parameter D = 12, parameter B = 20, parameter PIPELINED = 1) (
    input wire clk, hold, input wire signed [X-1:0] potential, input wire [D-1:0] code, input wire signed [X+1:0] total,
    input wire signed [B-1:0] bias, output wire signed [X-1:0] reached
);
    localparam signed [X-1:0] HIGHEST = {1'b0, {(X-1){1'b1}}};
    wire signed [X:0] scaled, scaled1;
    wire signed [X+1:0] total1;
    wire signed [B-1:0] bias1;
    wire signed [X+3:0] sum3;
    lif_scale #(.X(X)) scale (.value({potential[X-1], potential}), .kept(13'd4096 - {1'b0, code}), .scaled(scaled));
    lif_stage #(.WIDTH(2*X+3+B), .PIPELINED(PIPELINED)) stage1 (
        .clk(clk), .hold(hold), .d({scaled, total, bias}), .q({scaled1, total1, bias1})
    );
    wire signed [X+3:0] sum = scaled1 + total1 + bias1;  // lint_off WIDTHEXPAND
    wire signed [X+3:0] sum2;
    lif_stage #(.WIDTH(X+4), .PIPELINED(PIPELINED)) stage2 (.clk(clk), .hold(hold), .d(sum), .q(sum2));
    lif_stage #(.WIDTH(X+4), .PIPELINED(PIPELINED)) stage3 (.clk(clk), .hold(hold), .d(sum2), .q(sum3));
    assign reached = sum3 > HIGHEST ? HIGHEST : sum3 < -HIGHEST ? -HIGHEST : sum3[X-1:0];  // lint_off WIDTHEXPAND
endmodule

// Spike where the potential is above the threshold; nothing is left then.
module lif_fire #(parameter X = 24, parameter T = 24, parameter CNT = 1, parameter K = 0) (
    input wire signed [X-1:0] potential, input wire signed [T-1:0] threshold, input wire [CNT-1:0] count, max_count,
    output wire fires, output wire signed [X-1:0] left
);
    assign fires = K == 0 && potential > threshold && count < max_count;
    assign left = 0;
endmodule
`default_nettype wire
